-- Applications that onboard tenants. Their master key is stored as a digest only.
-- `account_id`: who is told of events, when a developer registered the application.
CREATE TABLE onboarding_applications (
  id text PRIMARY KEY,
  account_id text REFERENCES dev_accounts (id) ON DELETE SET NULL,
  name text NOT NULL,
  master_key_sha256 text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- A tenant's way to its subdomain. `lease_*` is held by the one that works on it; whoever finds it run out goes on.
-- `deleting`: the personal data are gone already, what was set up outside is still being removed.
CREATE TABLE onboardings (
  uuid uuid PRIMARY KEY,
  application_id text NOT NULL REFERENCES onboarding_applications (id) ON DELETE CASCADE,
  email text NOT NULL,
  organization_name text NOT NULL,
  subdomain text NOT NULL UNIQUE,
  custom_domain text UNIQUE,
  status text NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'provisioning', 'activated', 'completed', 'failed', 'deleting')),
  wants_api_key boolean NOT NULL DEFAULT false,
  dns_configured boolean NOT NULL DEFAULT false,
  ssl_configured boolean NOT NULL DEFAULT false,
  route_configured boolean NOT NULL DEFAULT false,
  key_id text REFERENCES dev_app_keys (key_id) ON DELETE SET NULL,
  api_key_generated boolean NOT NULL DEFAULT false,
  attempts integer NOT NULL DEFAULT 0,
  failures integer NOT NULL DEFAULT 0,
  failure_reason text,
  next_attempt_at timestamptz,
  lease_owner text,
  lease_until timestamptz,
  tenant_id text,
  completion jsonb,
  completed_at timestamptz,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX onboardings_application ON onboardings (application_id, created_at);
CREATE INDEX onboardings_unsettled ON onboardings (lease_until) WHERE status IN ('provisioning', 'failed', 'deleting');

-- Certificates that gateways serve tenants with; their registry object is the resource `certificate` of the same id.
CREATE TABLE onboarding_certificates (
  id text PRIMARY KEY,
  names text[] NOT NULL,
  issuer text NOT NULL,
  issued_at timestamptz,
  expires_at timestamptz,
  renew_at timestamptz,
  failures integer NOT NULL DEFAULT 0,
  failure_reason text,
  next_attempt_at timestamptz,
  lease_owner text,
  lease_until timestamptz
);

-- The ACME account key and the local authority, sealed.
CREATE TABLE onboarding_secrets (
  name text PRIMARY KEY,
  data_key text NOT NULL,
  box text NOT NULL,
  certificate text,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Times of admitted requests within the window of a limit, in milliseconds since the epoch, oldest first.
CREATE TABLE onboarding_limits (
  subject text PRIMARY KEY,
  hits bigint[] NOT NULL DEFAULT '{}',
  forget_at timestamptz NOT NULL
);
CREATE INDEX onboarding_limits_forget ON onboarding_limits (forget_at);

-- Routes and certificates of tenants. Gateways get them beside the operator's resources, but they are not part of the
-- configuration that operators apply, export and prune.
CREATE TABLE tenant_resources (
  kind text NOT NULL CHECK (kind IN ('route', 'certificate')),
  id text NOT NULL,
  object jsonb NOT NULL,
  PRIMARY KEY (kind, id)
);
CREATE TRIGGER registry_insert AFTER INSERT ON tenant_resources REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('kind', 'id', 'object');
CREATE TRIGGER registry_update AFTER UPDATE ON tenant_resources REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('kind', 'id', 'object');
CREATE TRIGGER registry_delete AFTER DELETE ON tenant_resources REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION registry_note('kind', 'id', 'object');
CREATE TRIGGER registry_truncate AFTER TRUNCATE ON tenant_resources
  FOR EACH STATEMENT EXECUTE FUNCTION registry_truncated();

CREATE OR REPLACE VIEW registry_objects AS
SELECT kind, id, object FROM resources
UNION ALL SELECT kind, id, object FROM tenant_resources
UNION ALL SELECT 'data_key', id, object FROM registry_data_keys
UNION ALL SELECT 'app', id, object FROM registry_apps
UNION ALL SELECT 'key', id, object FROM registry_keys;

CREATE OR REPLACE FUNCTION registry_object(wanted_kind text, wanted_id text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
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
    IF found_object IS NULL THEN
      SELECT object INTO found_object FROM tenant_resources WHERE kind = wanted_kind AND id = wanted_id;
    END IF;
  END IF;
  RETURN found_object;
END $$;
