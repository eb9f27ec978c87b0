-- Append-only and hash-chained. Ids have no gaps and stand in the order of commits: every entry takes `audit_head`.
CREATE TABLE dev_portal_audit (
  id bigint PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  action text NOT NULL,
  account_id text,
  target jsonb NOT NULL DEFAULT '{}',
  before jsonb,
  after jsonb,
  ip text,
  request_id text,
  previous_hash text NOT NULL,
  hash text NOT NULL
);
CREATE INDEX dev_portal_audit_account ON dev_portal_audit (account_id, id);
CREATE INDEX dev_portal_audit_key ON dev_portal_audit ((target->>'key_id'), id);

CREATE TABLE audit_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  id bigint NOT NULL,
  hash text NOT NULL
);
INSERT INTO audit_head (id, hash) VALUES (0, repeat('0', 64));

CREATE FUNCTION audit_field(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN value IS NULL THEN '-' ELSE octet_length(value) || ':' || value END
$$;

-- The hash is SHA-256 over the hash before and every column, each as its length in bytes, a colon and its text.
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  head audit_head;
BEGIN
  UPDATE audit_head SET id = id + 1 RETURNING * INTO head;
  NEW.id := head.id;
  NEW.previous_hash := head.hash;
  NEW.hash := encode(sha256(convert_to(
    audit_field(NEW.previous_hash) || audit_field(NEW.id::text)
    || audit_field(((extract(epoch FROM NEW.created_at) * 1000000)::bigint)::text)
    || audit_field(NEW.actor) || audit_field(NEW.action) || audit_field(NEW.account_id)
    || audit_field(NEW.target::text) || audit_field(NEW.before::text) || audit_field(NEW.after::text)
    || audit_field(NEW.ip) || audit_field(NEW.request_id), 'UTF8')), 'hex');
  UPDATE audit_head SET hash = NEW.hash;
  PERFORM pg_notify('audit', NEW.id::text);
  RETURN NEW;
END $$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'dev_portal_audit is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_chain BEFORE INSERT ON dev_portal_audit FOR EACH ROW EXECUTE FUNCTION audit_chain();
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE ON dev_portal_audit FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_keep_all BEFORE TRUNCATE ON dev_portal_audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
