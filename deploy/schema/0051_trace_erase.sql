-- What an erased event named, as before (0048), but each link that was written with the name is looked for by its ends: who says that
-- all was taken out of a pallet names nothing of what came out, and its links do.
CREATE OR REPLACE FUNCTION trace_erase(wanted bigint, named text[], instead text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  gone record;
  known_as text;
BEGIN
  FOR gone IN SELECT known.id, known.name FROM trace_name AS known
              WHERE known.name = ANY (named) AND NOT EXISTS (SELECT FROM event_mention AS mention WHERE mention.identifier = known.name) LOOP
    known_as := instead || CASE WHEN EXISTS (SELECT FROM trace_name AS taken WHERE taken.name = instead) THEN '#' || gone.id ELSE '' END;
    UPDATE trace_name SET name = known_as, scheme = 'uri' WHERE id = gone.id;
    DELETE FROM trace_portion WHERE position(to_json(gone.name)::text IN body) > 0;
    UPDATE trace_edge SET told = replace(told, to_json(gone.name)::text, to_json(known_as)::text) WHERE gone.id IN (source, target);
  END LOOP;
  INSERT INTO registry_change (kind, identifier, at)
  SELECT DISTINCT 'lot', mention.identifier, now() FROM event_mention AS mention
  WHERE mention.event = wanted AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output');
END
$$;
