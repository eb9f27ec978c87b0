-- Keys of these apps get a new secret by themselves.
CREATE TABLE dev_rotation_policies (
  app_id text PRIMARY KEY REFERENCES dev_apps (id) ON DELETE CASCADE,
  every_days integer NOT NULL CHECK (every_days BETWEEN 1 AND 3650),
  grace_days integer NOT NULL CHECK (grace_days BETWEEN 1 AND 30),
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Secrets made by a schedule, sealed until a developer fetches them, once.
CREATE TABLE dev_waiting_secrets (
  key_id text PRIMARY KEY REFERENCES dev_app_keys (key_id) ON DELETE CASCADE,
  data_key text NOT NULL,
  box text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
