-- The walk back (0041) with each list of numbers looked up as one list, as 0039 does: of the same names, up to the same moments.
CREATE OR REPLACE FUNCTION trace_reach_back(seeds integer[], moments bigint[], deepest integer)
  RETURNS TABLE (name integer, until bigint, depth integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
  names integer[] := seeds;
  untils bigint[] := moments;
  waiting integer[] := '{}';
  waiting_untils bigint[] := '{}';
  next_names integer[];
  next_untils bigint[];
  deeper integer[];
  deeper_untils bigint[];
  new_names integer[];
  new_untils bigint[];
  new_classes integer[];
  new_unmade integer[];
  all_names integer[] := '{}';
  all_untils bigint[] := '{}';
  all_depths integer[] := '{}';
  classes integer[] := '{}';
  unmade integer[] := '{}';  -- used before anything made it, somewhere on the way: a clock is wrong
  at_depth integer := 0;
BEGIN
  LOOP
    WITH once AS MATERIALIZED (
      SELECT reached.name, max(reached.until) AS until, min(reached.until) AS earliest
      FROM unnest(names, untils) AS reached (name, until) GROUP BY reached.name),
    fresh AS MATERIALIZED (
      SELECT once.name, once.until, once.earliest, known.is_class AND once.name <> ALL (seeds) AS is_class
      FROM once JOIN trace_name AS known ON known.id = once.name WHERE known.id = ANY (names)),
    early AS MATERIALIZED (
      SELECT DISTINCT fresh.name FROM fresh JOIN trace_run AS made ON made.name = fresh.name
      WHERE made.name = ANY (names) AND made.output AND fresh.earliest < trace_instant_start(made.made)
        AND NOT fresh.is_class AND fresh.name <> ALL (unmade)),
    frontier AS MATERIALIZED (
      SELECT fresh.name, greatest(fresh.until, known.until) AS until FROM fresh LEFT JOIN (
        SELECT known.name, max(known.until) AS until FROM unnest(all_names, all_untils) AS known (name, until) WHERE known.name IN (SELECT fresh.name FROM fresh) GROUP BY known.name) AS known
        ON known.name = fresh.name
      WHERE NOT fresh.is_class AND (known.name IS NULL OR fresh.name IN (SELECT early.name FROM early)
        OR known.until < CASE WHEN at_depth > deepest THEN trace_instant_start(fresh.until) ELSE fresh.until END)),
    content AS MATERIALIZED (
      SELECT frontier.name, parcel.lot, parcel.runs
      FROM frontier JOIN trace_in_unit AS unit ON unit.unit = frontier.name AND unit.entered <= frontier.until
      JOIN trace_parcel AS parcel ON parcel.id = unit.parcel
      WHERE at_depth <= deepest AND unit.unit = ANY (names)
        AND parcel.id = ANY (ARRAY(SELECT held.parcel FROM trace_in_unit AS held WHERE held.unit = ANY (names)))),
    made AS MATERIALIZED (
      SELECT made.run FROM frontier JOIN trace_run AS made ON made.name = frontier.name AND made.output
        -- Before it was used; or all of them if it was used before anything made it.
        AND (trace_instant_start(made.first) <= frontier.until OR frontier.name = ANY (unmade) OR frontier.name IN (SELECT early.name FROM early))
      WHERE at_depth <= deepest AND made.name = ANY (names)
      UNION
      SELECT content_run.run FROM content CROSS JOIN LATERAL unnest(content.runs) AS content_run (run)),
    behind AS (
      SELECT array_agg(used.name) AS names, array_agg(trace_instant_end(used.last)) AS untils
      FROM made JOIN trace_run AS used ON used.run = made.run AND NOT used.output AND NOT used.within
      WHERE used.run = ANY (ARRAY(SELECT made.run FROM made))),
    beside AS (
      SELECT array_agg(each.name) AS names, array_agg(each.until) AS untils FROM (
        SELECT held.child AS name, least(held.last, frontier.until) AS until
        FROM frontier JOIN trace_inside AS held ON held.parent = frontier.name AND held.first <= frontier.until
        WHERE at_depth <= deepest AND held.parent = ANY (names) AND NOT EXISTS (SELECT FROM content WHERE content.name = frontier.name AND content.lot = held.child)
        UNION ALL
        SELECT same.other, frontier.until FROM frontier JOIN trace_same AS same ON same.name = frontier.name
        WHERE at_depth <= deepest AND same.name = ANY (names)) AS each)
    SELECT (SELECT array_agg(frontier.name) FROM frontier), (SELECT array_agg(frontier.until) FROM frontier),
           (SELECT array_agg(fresh.name) FROM fresh WHERE fresh.is_class), (SELECT array_agg(early.name) FROM early),
           beside.names, beside.untils, behind.names, behind.untils
    INTO new_names, new_untils, new_classes, new_unmade, next_names, next_untils, deeper, deeper_untils FROM beside CROSS JOIN behind;
    classes := classes || coalesce(new_classes, '{}');
    EXIT WHEN at_depth > deepest;
    all_names := all_names || coalesce(new_names, '{}');
    all_untils := all_untils || coalesce(new_untils, '{}');
    all_depths := all_depths || array_fill(at_depth, ARRAY[coalesce(cardinality(new_names), 0)]);
    unmade := unmade || coalesce(new_unmade, '{}');
    waiting := waiting || coalesce(deeper, '{}');
    waiting_untils := waiting_untils || coalesce(deeper_untils, '{}');
    IF next_names IS NULL THEN
      EXIT WHEN cardinality(waiting) = 0;
      at_depth := at_depth + 1;
      next_names := waiting;
      next_untils := waiting_untils;
      waiting := '{}';
      waiting_untils := '{}';
    END IF;
    names := next_names;
    untils := next_untils;
  END LOOP;
  RETURN QUERY SELECT known.name, max(known.until), min(known.depth) FROM unnest(all_names, all_untils, all_depths) AS known (name, until, depth)
               GROUP BY known.name;
  RETURN QUERY SELECT DISTINCT class.name, NULL::bigint, 0 FROM unnest(classes) AS class (name);
  IF at_depth > deepest THEN
    RETURN QUERY SELECT beyond.name, NULL::bigint, deepest + 1 FROM unnest(new_names) AS beyond (name);
  END IF;
END
$$;
