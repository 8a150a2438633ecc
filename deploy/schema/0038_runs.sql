-- The events of a run that stays open (transformationID) hang together, also where no two of them name the same goods.

-- What was recorded before runs were in the index, by its run as written: the canonical form of a GS1 key is not SQL's to make.
INSERT INTO event_mention (event, identifier, role)
SELECT event.id, said.run, 'run'
FROM event JOIN event_bytes ON event_bytes.event = event.id
CROSS JOIN LATERAL (SELECT convert_from(event_bytes.bytes, 'UTF8')::jsonb ->> 'transformationID' AS run) AS said
WHERE event.type = 'TransformationEvent' AND said.run <> ''
ON CONFLICT DO NOTHING;

-- As before (0009), and through the runs that used or made the goods. A run is looked up as a run and as nothing else: whoever
-- names one like a place must not join everything that was there.
CREATE OR REPLACE FUNCTION walk(seeds text[])
  RETURNS TABLE ("position" bigint, organisation text, body text, id bigint, why text, follows boolean)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  most CONSTANT integer := 20000;
  frontier text[] := ARRAY(SELECT DISTINCT seed FROM unnest(seeds) AS seed);
  seen text[] := '{}';
  carriers text[] := '{}';
  new_runs text[];
  runs text[] := '{}';
  fresh bigint[];
  whys text[];
  more bigint[];
  more_whys text[];
  found bigint[] := '{}';
  found_whys text[] := '{}';
  published bigint[];
  goods integer;
BEGIN
  LOOP
    SELECT coalesce(array_agg(shown.event), '{}'), coalesce(array_agg(shown.why), '{}') INTO fresh, whys
    FROM shown_events(ARRAY(
      (SELECT mention.event FROM event_mention AS mention WHERE mention.identifier = ANY (CASE WHEN cardinality(frontier) > 0 THEN frontier ELSE carriers END)
       LIMIT 50 * most)  -- a place as a seed is named by everything
      EXCEPT SELECT unnest(found))) AS shown;
    found := found || fresh;
    found_whys := found_whys || whys;
    new_runs := CASE WHEN cardinality(frontier) > 0 THEN ARRAY(
      SELECT DISTINCT mention.identifier FROM event_mention AS mention WHERE mention.event = ANY (fresh) AND mention.role = 'run'
      EXCEPT SELECT unnest(runs)) ELSE '{}' END;
    IF cardinality(new_runs) > 0 THEN
      SELECT coalesce(array_agg(shown.event), '{}'), coalesce(array_agg(shown.why), '{}') INTO more, more_whys
      FROM shown_events(ARRAY(
        (SELECT mention.event FROM event_mention AS mention WHERE mention.identifier = ANY (new_runs) AND mention.role = 'run' LIMIT 50 * most)
        EXCEPT SELECT unnest(found))) AS shown;
      runs := runs || new_runs;
      fresh := fresh || more;
      found := found || more;
      found_whys := found_whys || more_whys;
    END IF;
    IF cardinality(found) > most THEN
      RAISE EXCEPTION 'more than % events hang together with %', most, seeds[1]
        USING ERRCODE = 'program_limit_exceeded', HINT = 'Ask for a narrower identifier.';
    END IF;
    EXIT WHEN cardinality(frontier) = 0;
    goods := cardinality(found);
    seen := seen || frontier;
    frontier := ARRAY(SELECT DISTINCT mention.identifier FROM event_mention AS mention
                      WHERE mention.event = ANY (fresh) AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output')
                      EXCEPT (SELECT unnest(seen) UNION SELECT unnest(carriers)));
    carriers := carriers || ARRAY(SELECT shared_carriers(frontier));
    frontier := ARRAY(SELECT unnest(frontier) EXCEPT SELECT unnest(carriers));
  END LOOP;
  published := ARRAY(SELECT each.event FROM unnest(found, found_whys) AS each (event, why) WHERE each.why = 'published');
  RETURN QUERY
    WITH reached AS MATERIALIZED (
      SELECT each.event, each.why, each.place <= goods AS follows
      FROM unnest(found, found_whys) WITH ORDINALITY AS each (event, why, place)),
    -- Once for those events alone: a join with the view would make every published event anew for each of them.
    shown AS MATERIALIZED (
      SELECT seen.id, seen.position, seen.organisation, seen.body::text AS body FROM published_event AS seen WHERE seen.id = ANY (published))
    SELECT leaf.position, event.organisation, convert_from(event_bytes.bytes, 'UTF8'), event.id, reached.why, reached.follows
    FROM reached JOIN event ON event.id = reached.event JOIN leaf ON leaf.event = event.id JOIN event_bytes ON event_bytes.event = event.id
    WHERE reached.why <> 'published'
    UNION ALL
    SELECT shown.position, shown.organisation, shown.body, shown.id, reached.why, reached.follows
    FROM reached JOIN shown ON shown.id = reached.event
    WHERE reached.why = 'published'
    ORDER BY 1;
END
$$;

-- What was projected before knows of no run that was told in several events: it is followed once more.
DELETE FROM projection WHERE name = 'portions';
