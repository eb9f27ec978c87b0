-- Deliveries that have been counted. The pair is what makes a batch that arrives twice count once; rows older than
-- the time that a batch may travel are removed.
CREATE TABLE usage_batches (
  source text NOT NULL,
  sequence bigint NOT NULL,
  gateway text NOT NULL,
  events integer NOT NULL,
  ingested_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source, sequence)
);
CREATE INDEX usage_batches_ingested ON usage_batches (ingested_at);

-- What could not be ingested, for an operator to look at.
CREATE TABLE usage_dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received_at timestamptz NOT NULL DEFAULT now(),
  origin text NOT NULL,
  reason text NOT NULL,
  digest text NOT NULL UNIQUE,
  body bytea NOT NULL
);

-- One row for each request. Partitions by UTC day are made as events need them; the default one takes what lies
-- outside of the time that is kept.
CREATE TABLE api_usage_events (
  occurred_at timestamptz NOT NULL,
  request_id text NOT NULL,
  key_id text,
  app_id text,
  account_id text,
  environment text,
  route_id text,
  service_id text,
  api_version text,
  method text NOT NULL,
  endpoint text NOT NULL,
  status_code smallint NOT NULL,
  latency_ms double precision NOT NULL,
  upstream_latency_ms double precision,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  cache_state text,
  limit_outcome text,
  overage boolean NOT NULL,
  country text,
  client_ip text
) PARTITION BY RANGE (occurred_at);
CREATE TABLE api_usage_events_default PARTITION OF api_usage_events DEFAULT;
CREATE INDEX api_usage_events_key ON api_usage_events (key_id, occurred_at);
CREATE INDEX api_usage_events_app ON api_usage_events (app_id, occurred_at);

-- Aggregates. An empty text stands for none (no key, no country ...). Errors are answers of 400 and above and requests
-- that got no answer. latency_sketch: DDSketch bins of 1 % relative accuracy as (bin, count) pairs, in any order; a bin
-- may occur several times.
CREATE TABLE api_usage_rollups_day (
  day date NOT NULL,
  account_id text NOT NULL,
  app_id text NOT NULL,
  key_id text NOT NULL,
  environment text NOT NULL,
  route_id text NOT NULL,
  api_version text NOT NULL,
  status_code smallint NOT NULL,
  country text NOT NULL,
  calls bigint NOT NULL,
  errors bigint NOT NULL,
  overage_calls bigint NOT NULL,
  latency_ms_sum double precision NOT NULL,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  latency_sketch integer[] NOT NULL,
  PRIMARY KEY (app_id, day, key_id, route_id, api_version, status_code, country, environment, account_id)
);
CREATE INDEX api_usage_rollups_day_day ON api_usage_rollups_day (day);

CREATE TABLE api_usage_rollups_hour (
  hour timestamptz NOT NULL,
  account_id text NOT NULL,
  app_id text NOT NULL,
  key_id text NOT NULL,
  environment text NOT NULL,
  route_id text NOT NULL,
  api_version text NOT NULL,
  status_code smallint NOT NULL,
  country text NOT NULL,
  calls bigint NOT NULL,
  errors bigint NOT NULL,
  overage_calls bigint NOT NULL,
  latency_ms_sum double precision NOT NULL,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  latency_sketch integer[] NOT NULL,
  PRIMARY KEY (app_id, hour, key_id, route_id, api_version, status_code, country, environment, account_id)
);
CREATE INDEX api_usage_rollups_hour_hour ON api_usage_rollups_hour (hour);

CREATE TABLE api_usage_rollups_minute (
  minute timestamptz NOT NULL,
  account_id text NOT NULL,
  app_id text NOT NULL,
  key_id text NOT NULL,
  environment text NOT NULL,
  route_id text NOT NULL,
  api_version text NOT NULL,
  status_code smallint NOT NULL,
  country text NOT NULL,
  calls bigint NOT NULL,
  errors bigint NOT NULL,
  overage_calls bigint NOT NULL,
  latency_ms_sum double precision NOT NULL,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  latency_sketch integer[] NOT NULL,
  PRIMARY KEY (app_id, minute, key_id, route_id, api_version, status_code, country, environment, account_id)
);
CREATE INDEX api_usage_rollups_minute_minute ON api_usage_rollups_minute (minute);

-- Adds sketches. Pairs are only appended until there are many; then bins are added up, so that a sketch stays small
-- and most additions cost a copy.
CREATE FUNCTION usage_sketch_add(a integer[], b integer[]) RETURNS integer[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  joined integer[] := a || b;
  compact integer[];
BEGIN
  IF cardinality(joined) <= 512 THEN
    RETURN joined;
  END IF;
  SELECT array_agg(v ORDER BY bin, place) INTO compact
  FROM (
    SELECT joined[2 * i - 1] AS bin, sum(joined[2 * i])::integer AS total
    FROM generate_series(1, cardinality(joined) / 2) AS i
    GROUP BY 1
  ) bins, LATERAL (VALUES (1, bin), (2, total)) AS pair (place, v);
  RETURN compact;
END $$;
