CREATE TABLE dev_accounts (
  id text PRIMARY KEY,
  email text NOT NULL,
  name text NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX dev_accounts_email ON dev_accounts (lower(email));

CREATE TABLE dev_apps (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES dev_accounts (id) ON DELETE CASCADE,
  name text NOT NULL,
  description text NOT NULL DEFAULT '',
  plan text,
  api_version text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dev_apps_account ON dev_apps (account_id, created_at, id);

-- Keys that encrypt secrets, each wrapped by a key provider.
CREATE TABLE data_keys (
  id text PRIMARY KEY,
  provider text NOT NULL,
  wrapped text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  rewrapped_at timestamptz,
  retired_at timestamptz
);

-- secrets: newest first, as the registry has them: [{"sha256"} | {"dataKey", "box"}, "expiresAt" in ms].
CREATE TABLE dev_app_keys (
  key_id text PRIMARY KEY,
  app_id text REFERENCES dev_apps (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('api_key', 'bearer')),
  environment text NOT NULL CHECK (environment IN ('test', 'live')),
  name text NOT NULL DEFAULT '',
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'revoked')),
  secrets jsonb NOT NULL DEFAULT '[]',
  public_key text,
  scopes text[],
  addresses jsonb,
  api_version text,
  plan text,
  lifetime_days integer,
  expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  rotated_at timestamptz,
  revoked_at timestamptz,
  revoked_reason text,
  last_used_at timestamptz
);
CREATE INDEX dev_app_keys_app ON dev_app_keys (app_id, created_at, key_id);
CREATE INDEX dev_app_keys_expiry ON dev_app_keys (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;

-- NULL: as the plan of the key says.
CREATE TABLE api_key_quotas (
  key_id text PRIMARY KEY REFERENCES dev_app_keys (key_id) ON DELETE CASCADE,
  burst_limit integer CHECK (burst_limit BETWEEN 1 AND 1000000000),
  sustained_limit integer CHECK (sustained_limit BETWEEN 1 AND 1000000000),
  daily_quota bigint CHECK (daily_quota BETWEEN 1 AND 1000000000000),
  overage_action text CHECK (overage_action IN ('block', 'warn', 'charge'))
);

-- What the operator configures: services, routes, versions, plans; `object` is exactly the registry's.
CREATE TABLE resources (
  kind text NOT NULL,
  id text NOT NULL,
  object jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, id)
);

-- The declaration that was applied at a start.
CREATE TABLE declaration_seed (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  digest text NOT NULL,
  seeded_at timestamptz NOT NULL DEFAULT now()
);
