-- People, as an issuer names them.
CREATE TABLE dev_users (
  id text PRIMARY KEY,
  issuer text NOT NULL,
  subject text NOT NULL,
  email text,
  name text,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (issuer, subject)
);

CREATE TABLE dev_account_members (
  account_id text NOT NULL REFERENCES dev_accounts (id) ON DELETE CASCADE,
  user_id text NOT NULL REFERENCES dev_users (id) ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('owner', 'developer', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account_id, user_id)
);
CREATE INDEX dev_account_members_user ON dev_account_members (user_id, created_at);
