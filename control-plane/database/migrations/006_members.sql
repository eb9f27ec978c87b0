-- An e-mail address that becomes a member when its owner signs in.
CREATE TABLE dev_invitations (
  account_id text NOT NULL REFERENCES dev_accounts (id) ON DELETE CASCADE,
  email text NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'developer', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL DEFAULT now() + interval '14 days'
);
CREATE UNIQUE INDEX dev_invitations_once ON dev_invitations (account_id, lower(email));
CREATE INDEX dev_invitations_email ON dev_invitations (lower(email));
