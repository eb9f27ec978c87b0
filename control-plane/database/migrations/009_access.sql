-- Environments an app may have keys in. Test is open to every app and not listed.
CREATE TABLE dev_app_environments (
  app_id text NOT NULL REFERENCES dev_apps (id) ON DELETE CASCADE,
  environment text NOT NULL CHECK (environment IN ('test', 'live')),
  audiences text[] NOT NULL DEFAULT '{}',
  granted_by text NOT NULL,
  granted_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (app_id, environment)
);

CREATE TABLE dev_access_requests (
  id text PRIMARY KEY,
  app_id text NOT NULL REFERENCES dev_apps (id) ON DELETE CASCADE,
  environment text NOT NULL CHECK (environment IN ('test', 'live')),
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'refused')),
  reason text NOT NULL,
  requested_by text NOT NULL,
  note text,
  decided_by text,
  created_at timestamptz NOT NULL DEFAULT now(),
  decided_at timestamptz
);
CREATE UNIQUE INDEX dev_access_requests_pending ON dev_access_requests (app_id, environment) WHERE status = 'pending';
CREATE INDEX dev_access_requests_status ON dev_access_requests (status, created_at, id);
