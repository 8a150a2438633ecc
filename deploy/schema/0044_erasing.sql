-- What officials wrote of what our record shows is forgotten like all else: the eraser reaches it, and knows whose record it is of.

CREATE POLICY erase ON finding TO suyuan_eraser USING (true);
GRANT SELECT (id, organisations) ON finding TO suyuan_eraser;
GRANT SELECT, UPDATE (comment) ON finding_word TO suyuan_eraser;
GRANT SELECT (recall, keeper) ON recall_holder TO suyuan_eraser;

-- As before; and a later event of the same run counts (its transformationID in `identifiers`): what came out of it rests on what went in.
CREATE OR REPLACE FUNCTION later_events(own bigint[], identifiers text[], vehicles text[], inside text[]) RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT count(DISTINCT later.id)
  FROM event_mention AS mention
  JOIN event AS later ON later.id = mention.event AND NOT later.is_error
  CROSS JOIN regexp_replace(coalesce(later.biz_step, ''), '^.*[:-]', '') AS step
  WHERE mention.identifier = ANY (identifiers || vehicles || inside)
    AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output', 'run')
    AND step <> 'sensor_reporting' AND (step <> 'other' OR later.organisation <> current_organisation())
    AND later.id > (SELECT max(unnested) FROM unnest(own) AS unnested)
    AND NOT EXISTS (SELECT FROM unnest(own) AS mine JOIN event ON event.id = mine
                    WHERE event.organisation IS DISTINCT FROM current_organisation())
    AND (mention.identifier = ANY (inside) AND later.organisation = current_organisation()
      OR mention.identifier = ANY (identifiers)
        AND EXISTS (SELECT FROM event_mention AS ours WHERE ours.event = ANY (own) AND ours.identifier = mention.identifier)
      OR mention.identifier = ANY (vehicles) AND mention.role = 'epc'
        AND EXISTS (SELECT FROM event_mention AS ours WHERE ours.event = ANY (own)
                    AND (ours.identifier = mention.identifier OR starts_with(ours.identifier, mention.identifier || '.'))))
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = later.organisation
                    AND declared.event_id = later.event_id AND declared.is_error)
$$;
