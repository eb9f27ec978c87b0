-- Sessions of the console. Only digests of the cookie are kept.
CREATE TABLE dev_sessions (
  id text PRIMARY KEY,
  token_sha256 text NOT NULL UNIQUE,
  csrf_token text NOT NULL,
  issuer text NOT NULL,
  subject text NOT NULL,
  provider_session text,
  email text,
  email_verified boolean NOT NULL,
  name text,
  administrator boolean NOT NULL,
  user_agent text,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX dev_sessions_subject ON dev_sessions (issuer, subject);
CREATE INDEX dev_sessions_expiry ON dev_sessions (expires_at);
