-- Alerts that have been raised: each once in its period.
CREATE TABLE alert_marks (
  name text PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alert_marks_created ON alert_marks (created_at);

-- How an account wants its notices; without a row: at once, to the account's address.
CREATE TABLE notice_preferences (
  account_id text PRIMARY KEY REFERENCES dev_accounts (id) ON DELETE CASCADE,
  email text NOT NULL DEFAULT 'immediate' CHECK (email IN ('immediate', 'digest', 'off')),
  address text,
  muted_types text[] NOT NULL DEFAULT '{}'
);

-- E-mail to be sent of an event.
CREATE TABLE notices (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id text NOT NULL REFERENCES events (id) ON DELETE CASCADE,
  account_id text NOT NULL,
  address text NOT NULL,
  digest boolean NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  -- NULL: sent or given up.
  next_attempt_at timestamptz,
  sent_at timestamptz,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notices_due ON notices (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX notices_account ON notices (account_id, id);
