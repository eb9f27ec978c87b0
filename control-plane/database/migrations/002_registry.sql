-- The head of the registry. Whoever changes an object takes this row until commit, so that the order of revisions is
-- the order of commits. Gateways that stand below `floor` need a snapshot.
CREATE TABLE registry_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  revision bigint NOT NULL,
  floor bigint NOT NULL,
  tx xid8
);
INSERT INTO registry_head (revision, floor) VALUES (1, 0);

-- The last revision at which each object changed; objects that are gone stay listed until compaction.
CREATE TABLE registry_changes (
  kind text NOT NULL,
  id text NOT NULL,
  revision bigint NOT NULL,
  PRIMARY KEY (kind, id)
);
CREATE INDEX registry_changes_revision ON registry_changes (revision);

-- The revision of this transaction: one for all that it changes.
CREATE FUNCTION registry_advance() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  reached bigint;
BEGIN
  UPDATE registry_head
  SET revision = CASE WHEN tx = pg_current_xact_id() THEN revision ELSE revision + 1 END,
      tx = pg_current_xact_id()
  RETURNING revision INTO reached;
  PERFORM pg_notify('registry', reached::text);
  RETURN reached;
END $$;

-- Makes every gateway take a snapshot: after a restore from a backup, or when rows went unseen.
CREATE FUNCTION registry_rebase() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  reached bigint;
BEGIN
  UPDATE registry_head
  SET revision = greatest(revision + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint), tx = NULL
  RETURNING revision INTO reached;
  UPDATE registry_head SET floor = reached;
  PERFORM pg_notify('registry', reached::text);
  RETURN reached;
END $$;

-- Statement trigger with transition tables. Arguments: an SQL expression for the kind, one for the id, and the
-- columns that the registry shows.
CREATE FUNCTION registry_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched text;
  any_row boolean;
  columns text := TG_ARGV[0] || ' AS touched_kind, ' || TG_ARGV[1] || ' AS touched_id';
BEGIN
  IF TG_OP = 'INSERT' THEN
    touched := format('SELECT %s FROM new_rows', columns);
  ELSIF TG_OP = 'DELETE' THEN
    touched := format('SELECT %s FROM old_rows', columns);
  ELSE
    touched := format(
      'SELECT touched_kind, touched_id
       FROM (SELECT %1$s, %2$s FROM new_rows EXCEPT SELECT %1$s, %2$s FROM old_rows) changed
       UNION
       SELECT touched_kind, touched_id
       FROM (SELECT %1$s, %2$s FROM old_rows EXCEPT SELECT %1$s, %2$s FROM new_rows) left_behind',
      columns, TG_ARGV[2]);
  END IF;
  EXECUTE format('SELECT EXISTS (%s)', touched) INTO any_row;
  IF any_row THEN
    EXECUTE format(
      'INSERT INTO registry_changes (kind, id, revision) SELECT touched_kind, touched_id, $1 FROM (%s) touched
       ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision', touched)
    USING registry_advance();
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION registry_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM registry_rebase();
  RETURN NULL;
END $$;

CREATE FUNCTION registry_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM new_rows n JOIN old_rows o USING (id) WHERE n.status IS DISTINCT FROM o.status) THEN
    INSERT INTO registry_changes (kind, id, revision)
    SELECT 'key', k.key_id, registry_advance()
    FROM dev_app_keys k
    JOIN dev_apps a ON a.id = k.app_id
    JOIN new_rows n ON n.id = a.account_id
    JOIN old_rows o ON o.id = n.id
    WHERE n.status IS DISTINCT FROM o.status
    ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER registry_insert AFTER INSERT ON resources REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('kind', 'id', 'object');
CREATE TRIGGER registry_update AFTER UPDATE ON resources REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('kind', 'id', 'object');
CREATE TRIGGER registry_delete AFTER DELETE ON resources REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('kind', 'id', 'object');
CREATE TRIGGER registry_truncate AFTER TRUNCATE ON resources
  FOR EACH STATEMENT EXECUTE FUNCTION registry_truncated();

CREATE TRIGGER registry_insert AFTER INSERT ON data_keys REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''data_key''', 'id', 'provider, wrapped');
CREATE TRIGGER registry_update AFTER UPDATE ON data_keys REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''data_key''', 'id', 'provider, wrapped');
CREATE TRIGGER registry_delete AFTER DELETE ON data_keys REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''data_key''', 'id', 'provider, wrapped');
CREATE TRIGGER registry_truncate AFTER TRUNCATE ON data_keys
  FOR EACH STATEMENT EXECUTE FUNCTION registry_truncated();

CREATE TRIGGER registry_insert AFTER INSERT ON dev_apps REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''app''', 'id', 'account_id, name, plan, api_version');
CREATE TRIGGER registry_update AFTER UPDATE ON dev_apps REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''app''', 'id', 'account_id, name, plan, api_version');
CREATE TRIGGER registry_delete AFTER DELETE ON dev_apps REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''app''', 'id', 'account_id, name, plan, api_version');
CREATE TRIGGER registry_truncate AFTER TRUNCATE ON dev_apps
  FOR EACH STATEMENT EXECUTE FUNCTION registry_truncated();

CREATE TRIGGER registry_insert AFTER INSERT ON dev_app_keys REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''key''', 'key_id', 'key_id');
CREATE TRIGGER registry_update AFTER UPDATE ON dev_app_keys REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''key''', 'key_id',
    'app_id, kind, environment, status, secrets, public_key, scopes, addresses, api_version, plan, expires_at');
CREATE TRIGGER registry_delete AFTER DELETE ON dev_app_keys REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''key''', 'key_id', 'key_id');
CREATE TRIGGER registry_truncate AFTER TRUNCATE ON dev_app_keys
  FOR EACH STATEMENT EXECUTE FUNCTION registry_truncated();

CREATE TRIGGER registry_insert AFTER INSERT ON api_key_quotas REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''key''', 'key_id', 'key_id');
CREATE TRIGGER registry_update AFTER UPDATE ON api_key_quotas REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''key''', 'key_id',
    'burst_limit, sustained_limit, daily_quota, overage_action');
CREATE TRIGGER registry_delete AFTER DELETE ON api_key_quotas REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('''key''', 'key_id', 'key_id');
CREATE TRIGGER registry_truncate AFTER TRUNCATE ON api_key_quotas
  FOR EACH STATEMENT EXECUTE FUNCTION registry_truncated();

CREATE TRIGGER registry_update AFTER UPDATE ON dev_accounts REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_account_changed();

-- The objects as gateways get them.
CREATE VIEW registry_apps AS
SELECT id, jsonb_strip_nulls(jsonb_build_object(
  'id', id, 'account', account_id, 'name', name, 'plan', plan, 'version', api_version)) AS object
FROM dev_apps;

CREATE VIEW registry_data_keys AS
SELECT id, jsonb_build_object('id', id, 'provider', provider, 'wrapped', wrapped) AS object
FROM data_keys;

-- Keys of a suspended account count as revoked. A revoked key keeps only the digests it is recognised by.
CREATE VIEW registry_keys AS
SELECT k.key_id AS id, jsonb_strip_nulls(jsonb_build_object(
  'id', k.key_id,
  'kind', k.kind,
  'environment', k.environment,
  'app', k.app_id,
  'account', a.account_id,
  'status', CASE WHEN k.status = 'revoked' OR c.status = 'suspended' THEN 'revoked' ELSE 'active' END,
  'secrets', CASE WHEN (k.status = 'revoked' OR c.status = 'suspended') AND k.kind = 'api_key' THEN '[]' ELSE k.secrets END,
  'publicKey', k.public_key,
  'expiresAt', (extract(epoch FROM k.expires_at) * 1000)::bigint,
  'scopes', to_jsonb(k.scopes),
  'addresses', k.addresses,
  'version', k.api_version,
  'plan', k.plan,
  'quota', nullif(jsonb_strip_nulls(jsonb_build_object(
    'burst', q.burst_limit,
    'sustainedPerMinute', q.sustained_limit,
    'daily', q.daily_quota,
    'overage', q.overage_action)), '{}'))) AS object
FROM dev_app_keys k
LEFT JOIN dev_apps a ON a.id = k.app_id
LEFT JOIN dev_accounts c ON c.id = a.account_id
LEFT JOIN api_key_quotas q ON q.key_id = k.key_id;

-- Everything, the operator's configuration first.
CREATE VIEW registry_objects AS
SELECT kind, id, object FROM resources
UNION ALL SELECT 'data_key', id, object FROM registry_data_keys
UNION ALL SELECT 'app', id, object FROM registry_apps
UNION ALL SELECT 'key', id, object FROM registry_keys;

-- One object, or NULL when it is gone. Always by index, whatever the planner thinks of the size of the tables.
CREATE FUNCTION registry_object(wanted_kind text, wanted_id text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  found_object jsonb;
BEGIN
  IF wanted_kind = 'key' THEN
    SELECT object INTO found_object FROM registry_keys WHERE id = wanted_id;
  ELSIF wanted_kind = 'app' THEN
    SELECT object INTO found_object FROM registry_apps WHERE id = wanted_id;
  ELSIF wanted_kind = 'data_key' THEN
    SELECT object INTO found_object FROM registry_data_keys WHERE id = wanted_id;
  ELSE
    SELECT object INTO found_object FROM resources WHERE kind = wanted_kind AND id = wanted_id;
  END IF;
  RETURN found_object;
END $$;

CREATE TABLE gateways (
  id text PRIMARY KEY,
  version text NOT NULL,
  revision bigint NOT NULL,
  address text,
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now()
);
