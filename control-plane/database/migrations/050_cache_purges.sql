-- Purges of the gateways' response caches: told at once, and again to gateways that were away.
CREATE TABLE cache_purges (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  purge      jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
