-- Applications that onboard tenants. Their master key is stored as a digest only.
CREATE TABLE onboarding_applications (
  id text PRIMARY KEY,
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
