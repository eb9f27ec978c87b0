-- Several statements of a transaction often touch one object: its row in the list of changes is then written once.
CREATE OR REPLACE FUNCTION registry_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched text;
  any_row boolean;
  columns text := TG_ARGV[0] || ' AS touched_kind, ' || TG_ARGV[1] || ' AS touched_id';
BEGIN
  -- Bulk writers, who have just noted the same keys, say so for the statement that adds their quotas.
  IF TG_OP = 'INSERT' AND TG_TABLE_NAME = 'api_key_quotas'
     AND current_setting('tollgate.keys_noted', true) = pg_current_xact_id()::text THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    touched := format('SELECT %s FROM new_rows', columns);
  ELSIF TG_OP = 'DELETE' THEN
    touched := format('SELECT %s FROM old_rows', columns);
  ELSE
    touched := format(
      'SELECT touched_kind, touched_id
       FROM (SELECT %1$s, %2$s FROM new_rows EXCEPT SELECT %1$s, %2$s FROM old_rows) changed
       UNION
       SELECT touched_kind, touched_id
       FROM (SELECT %1$s, %2$s FROM old_rows EXCEPT SELECT %1$s, %2$s FROM new_rows) left_behind',
      columns, TG_ARGV[2]);
  END IF;
  EXECUTE format('SELECT EXISTS (%s)', touched) INTO any_row;
  IF any_row THEN
    EXECUTE format(
      'INSERT INTO registry_changes (kind, id, revision) SELECT touched_kind, touched_id, $1 FROM (%s) touched
       ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision
       WHERE registry_changes.revision <> excluded.revision', touched)
    USING registry_advance();
  END IF;
  RETURN NULL;
END $$;

-- Forgets objects that are gone, up to a revision. Gateways that stand below it take a snapshot.
CREATE FUNCTION registry_compact(up_to bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  removed bigint;
BEGIN
  UPDATE registry_head SET floor = greatest(floor, least(up_to, revision));
  DELETE FROM registry_changes c WHERE c.revision <= up_to AND registry_object(c.kind, c.id) IS NULL;
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN removed;
END $$;

-- Checking this reference row by row is a third of the cost of a bulk load; quotas without a key are harmless, and go
-- with their key.
ALTER TABLE api_key_quotas DROP CONSTRAINT api_key_quotas_key_id_fkey;
CREATE FUNCTION quotas_go_with_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM api_key_quotas q USING old_rows o WHERE q.key_id = o.key_id;
  RETURN NULL;
END $$;
CREATE TRIGGER quotas_go_with_keys AFTER DELETE ON dev_app_keys REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION quotas_go_with_keys();
