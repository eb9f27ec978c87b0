-- Whether an object of the list of changes is gone, so that compaction looks at nothing else.
ALTER TABLE registry_changes ADD COLUMN gone boolean NOT NULL DEFAULT false;
UPDATE registry_changes SET gone = true WHERE registry_object(kind, id) IS NULL;
CREATE INDEX registry_changes_gone ON registry_changes (revision) WHERE gone;

CREATE OR REPLACE FUNCTION registry_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched text;
  any_row boolean;
  columns text := TG_ARGV[0] || ' AS touched_kind, ' || TG_ARGV[1] || ' AS touched_id';
  is_gone boolean := TG_OP = 'DELETE' AND TG_TABLE_NAME <> 'api_key_quotas';
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
      'INSERT INTO registry_changes (kind, id, revision, gone) SELECT touched_kind, touched_id, $1, $2 FROM (%s) touched
       ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision, gone = excluded.gone
       WHERE registry_changes.revision <> excluded.revision OR registry_changes.gone <> excluded.gone', touched)
    USING registry_advance(), is_gone;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION registry_compact(up_to bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  removed bigint;
BEGIN
  DELETE FROM registry_changes WHERE gone AND revision <= up_to;
  GET DIAGNOSTICS removed = ROW_COUNT;
  IF removed > 0 THEN
    UPDATE registry_head SET floor = greatest(floor, least(up_to, revision));
  END IF;
  RETURN removed;
END $$;
