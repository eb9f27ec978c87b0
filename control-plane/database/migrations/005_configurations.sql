-- Every state that the operator's configuration has had, whole, with who made it.
CREATE TABLE configurations (
  revision bigint PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now(),
  author text NOT NULL,
  message text NOT NULL DEFAULT '',
  changes jsonb NOT NULL,
  sections jsonb NOT NULL
);

-- Resources that a feature makes by itself are no part of the operator's configuration.
ALTER TABLE resources ADD COLUMN managed_by text NOT NULL DEFAULT 'operator' CHECK (managed_by IN ('operator', 'system'));
