-- What a trace reaches within a depth hangs on nothing that lies deeper; and a trace that is longer than was asked for is cut to what
-- is nearest to the thing itself.

-- What the names are made of, and what they held, up to a moment each: depth by depth (`depth`: transformations behind), and at each
-- level by level, each name once a level, by the latest moment it was reached for. Beyond `deepest` it is an end, where there is
-- more. A null moment: not followed (a kind of goods, an end).
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

-- What the names became, and what they held, from a moment on each.
CREATE OR REPLACE FUNCTION trace_reach_forward(seeds integer[], moments bigint[], deepest integer)
  RETURNS TABLE (name integer, since bigint, depth integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  names integer[] := seeds;
  sinces bigint[] := moments;
  waiting integer[] := '{}';
  waiting_sinces bigint[] := '{}';
  next_names integer[];
  next_sinces bigint[];
  deeper integer[];
  deeper_sinces bigint[];
  new_names integer[];
  new_sinces bigint[];
  new_classes integer[];
  all_names integer[] := '{}';
  all_sinces bigint[] := '{}';
  all_depths integer[] := '{}';
  classes integer[] := '{}';
  at_depth integer := 0;
BEGIN
  LOOP
    WITH fresh AS MATERIALIZED (
      SELECT once.name, once.since, known.is_class AND once.name <> ALL (seeds) AS is_class
      FROM (SELECT reached.name, min(reached.since) AS since FROM unnest(names, sinces) AS reached (name, since) GROUP BY reached.name) AS once
      JOIN trace_name AS known ON known.id = once.name),
    frontier AS MATERIALIZED (
      SELECT fresh.name, fresh.since FROM fresh LEFT JOIN (
        SELECT known.name, min(known.since) AS since FROM unnest(all_names, all_sinces) AS known (name, since) GROUP BY known.name) AS known
        ON known.name = fresh.name
      WHERE NOT fresh.is_class AND (known.name IS NULL
        OR known.since > CASE WHEN at_depth > deepest THEN trace_instant_end(fresh.since) ELSE fresh.since END)),
    content AS MATERIALIZED (
      SELECT frontier.name, parcel.lot, parcel.id AS parcel, trace_start(parcel.id, unit.first, frontier.since) AS start
      FROM frontier JOIN trace_in_unit AS unit ON unit.unit = frontier.name AND unit.latest >= frontier.since
      JOIN trace_parcel AS parcel ON parcel.id = unit.parcel
      WHERE at_depth <= deepest),
    used AS (
      SELECT used.run
      FROM frontier JOIN trace_run AS used ON used.name = frontier.name AND NOT used.output
        AND (trace_instant_end(used.last) >= frontier.since OR trace_instant_end(used.last) < trace_instant_start(used.made))
      WHERE at_depth <= deepest
      UNION
      SELECT parcel.became FROM content CROSS JOIN LATERAL trace_pieces(content.parcel, content.start) AS piece
      JOIN trace_parcel AS parcel ON parcel.id = piece.parcel AND parcel.became IS NOT NULL AND piece.start < parcel.steps),
    ahead AS (
      SELECT array_agg(made.name) AS names, array_agg(trace_instant_start(made.first)) AS sinces
      FROM used JOIN trace_run AS made ON made.run = used.run AND made.output),
    beside AS (
      SELECT array_agg(each.name) AS names, array_agg(each.since) AS sinces FROM (
        SELECT held.child AS name, greatest(held.first, frontier.since) AS since
        FROM frontier JOIN trace_inside AS held ON held.parent = frontier.name AND held.last >= frontier.since
        WHERE at_depth <= deepest AND NOT EXISTS (SELECT FROM content WHERE content.name = frontier.name AND content.lot = held.child)
        UNION ALL
        SELECT same.other, frontier.since FROM frontier JOIN trace_same AS same ON same.name = frontier.name WHERE at_depth <= deepest) AS each)
    SELECT (SELECT array_agg(frontier.name) FROM frontier), (SELECT array_agg(frontier.since) FROM frontier),
           (SELECT array_agg(fresh.name) FROM fresh WHERE fresh.is_class), beside.names, beside.sinces, ahead.names, ahead.sinces
    INTO new_names, new_sinces, new_classes, next_names, next_sinces, deeper, deeper_sinces FROM beside CROSS JOIN ahead;
    classes := classes || coalesce(new_classes, '{}');
    EXIT WHEN at_depth > deepest;
    all_names := all_names || coalesce(new_names, '{}');
    all_sinces := all_sinces || coalesce(new_sinces, '{}');
    all_depths := all_depths || array_fill(at_depth, ARRAY[coalesce(cardinality(new_names), 0)]);
    waiting := waiting || coalesce(deeper, '{}');
    waiting_sinces := waiting_sinces || coalesce(deeper_sinces, '{}');
    IF next_names IS NULL THEN
      EXIT WHEN cardinality(waiting) = 0;
      at_depth := at_depth + 1;
      next_names := waiting;
      next_sinces := waiting_sinces;
      waiting := '{}';
      waiting_sinces := '{}';
    END IF;
    names := next_names;
    sinces := next_sinces;
  END LOOP;
  RETURN QUERY SELECT known.name, min(known.since), min(known.depth) FROM unnest(all_names, all_sinces, all_depths) AS known (name, since, depth)
               GROUP BY known.name;
  RETURN QUERY SELECT DISTINCT class.name, NULL::bigint, 0 FROM unnest(classes) AS class (name);
  IF at_depth > deepest THEN
    RETURN QUERY SELECT beyond.name, NULL::bigint, deepest + 1 FROM unnest(new_names) AS beyond (name);
  END IF;
END
$$;

-- Of a trace that has more events than `most`: the events nearest to the thing itself, in the order in which they happened. First
-- what names it, then what is reached by the fewest transformations, of those what happened first. `names`: of `reached`, the trace's
-- names, those that these events name; `ends`: where to ask on, as far as these events name it: what more of the trace names, and
-- `beyond`, where the depth ended. As `ledger.genealogy.trace` has it.
CREATE FUNCTION trace_nearest(
    seeds integer[], untils bigint[], sinces bigint[], deepest integer, most integer, reached integer[], beyond integer[], whole bigint[],
    OUT events bigint[], OUT names integer[], OUT ends integer[])
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  fits integer := deepest;
  near bigint[];
  far bigint[];
  far_at bigint[];
  told integer[];
BEGIN
  -- At each depth there is at least what names what is reached there: what cannot fit for that alone is not walked once more.
  WITH named AS (
    SELECT named.event, min(each.depth) AS depth
    FROM trace_reached(seeds, untils, sinces, deepest) AS each JOIN trace_named AS named ON named.name = each.id
    WHERE each.what = 'name' GROUP BY named.event)
  SELECT coalesce(min(level.depth) - 1, deepest) INTO fits
  FROM (SELECT named.depth, sum(count(*)) OVER (ORDER BY named.depth) AS events FROM named GROUP BY named.depth) AS level
  WHERE level.events > most;
  far := whole;
  LOOP
    SELECT coalesce(array_agg(each.id), '{}') INTO near FROM trace_reached(seeds, untils, sinces, fits) AS each WHERE fits >= 0 AND each.what = 'event';
    EXIT WHEN cardinality(near) <= most;
    fits := fits - 1;
  END LOOP;
  SELECT coalesce(array_agg(each.id), '{}'), coalesce(array_agg(each.first), '{}') INTO far, far_at
  FROM trace_reached(seeds, untils, sinces, fits + 1) AS each WHERE each.what = 'event';
  WITH itself AS MATERIALIZED (SELECT named.event FROM trace_named AS named WHERE named.name = ANY (seeds)),
  kept AS (
    SELECT each.event, each.at FROM unnest(far, far_at) AS each (event, at)
    ORDER BY each.event IN (SELECT unnest(near)) DESC, each.event IN (SELECT itself.event FROM itself) DESC, each.at, each.event
    LIMIT most)
  SELECT array_agg(kept.event ORDER BY kept.at, kept.event) INTO events FROM kept;
  told := ARRAY(SELECT DISTINCT named.name FROM trace_named AS named WHERE named.name = ANY (reached || beyond || seeds) AND named.event IN (SELECT unnest(events)));
  names := ARRAY(SELECT each.id FROM unnest(reached) AS each (id) WHERE each.id = ANY (told || seeds));
  ends := ARRAY(
    SELECT unnest(told) INTERSECT SELECT unnest(beyond)
    UNION
    SELECT named.name FROM trace_named AS named
    WHERE named.name = ANY (told) AND named.event IN (SELECT unnest(whole) EXCEPT SELECT unnest(events)));
END
$$;

-- As before (0032), but the columns of events go by the events' numbers, in which order the tables have them (`ranks`: from 1 in the order
-- of time); and of more than `most` events the nearest, with the names that they name (`ends`: where to ask on).
CREATE OR REPLACE FUNCTION trace_of_asker(seed text, direction text, deepest integer, most integer)
  RETURNS TABLE (
    state text, events bytea, ranks integer[], positions bigint[], organisations text[], whys text[], event_ids text[], moments bigint[],
    names integer[], identifiers text[], schemes text[],
    sources integer[], targets integer[], kinds text[], told_by integer[], quantities float8[], uoms text[], shares float8[],
    holders integer[], held integer[], starts bigint[], lasts bigint[],
    portions text, places text[], ends text[], cut boolean)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  seeds integer[] := ARRAY(SELECT known.id FROM trace_name AS known WHERE known.name = seed);
  own integer[];
  beyond integer[];
  seen bigint[];
  seen_at bigint[];
  -- The same events by number, as the tables have them: the columns of the document's events go by this order.
  told bigint[];
  told_of text[];
  told_as text[];
  told_why text[];
  found bigint[];
BEGIN
  state := CASE WHEN cardinality(seeds) = 0 THEN 'unknown' ELSE 'whole' END;
  IF state = 'whole' THEN
    SELECT gathered.names || gathered.classes || gathered.holders || gathered.parts, gathered.ends,
           coalesce(gathered.events, '{}'), coalesce(gathered.ats, '{}')
    INTO own, beyond, seen, seen_at
    FROM trace_gathered(seeds, CASE WHEN direction IN ('back', 'both') THEN ARRAY[9223372036854775807] END,
                        CASE WHEN direction IN ('forward', 'both') THEN ARRAY[-9223372036854775808] END, deepest) AS gathered;
    own := ARRAY(SELECT DISTINCT each.id FROM unnest(own) AS each (id));
    SELECT array_agg(event.id ORDER BY event.id), array_agg(event.organisation ORDER BY event.id), array_agg(event.event_id ORDER BY event.id)
    INTO told, told_of, told_as
    FROM event WHERE event.id = ANY (seen);
    told_why := trace_whys(told, told_of);
    state := CASE WHEN trace_is_behind(own, seen) THEN 'behind'
                  WHEN coalesce(cardinality(told), 0) < cardinality(seen) OR array_position(told_why, NULL) IS NOT NULL THEN 'hidden' ELSE 'whole' END;
  END IF;
  IF state <> 'whole' THEN
    RETURN NEXT;
    RETURN;
  END IF;
  cut := cardinality(seen) > most;
  IF cut THEN
    SELECT near.events, near.names, near.ends INTO found, own, beyond
    FROM trace_nearest(seeds, CASE WHEN direction IN ('back', 'both') THEN ARRAY[9223372036854775807] END,
                       CASE WHEN direction IN ('forward', 'both') THEN ARRAY[-9223372036854775808] END,
                       deepest, most, own, coalesce(beyond, '{}'), seen) AS near;
    SELECT array_agg(each.id), array_agg(each.organisation), array_agg(each.event_id), array_agg(each.why) INTO told, told_of, told_as, told_why
    FROM (SELECT * FROM unnest(told, told_of, told_as, told_why) AS each (id, organisation, event_id, why)
          WHERE each.id IN (SELECT unnest(found)) ORDER BY each.id) AS each;
    SELECT array_agg(each.id ORDER BY each.place), array_agg(each.at ORDER BY each.place) INTO seen, seen_at
    FROM unnest(seen, seen_at) WITH ORDINALITY AS each (id, at, place) WHERE each.id IN (SELECT unnest(found));
  END IF;
  found := seen;
  SELECT array_agg(each.place ORDER BY each.id), array_agg(each.at ORDER BY each.id) INTO ranks, moments
  FROM unnest(found, seen_at) WITH ORDINALITY AS each (id, at, place);
  positions := ARRAY(SELECT leaf.position FROM leaf WHERE leaf.event = ANY (found) ORDER BY leaf.event);
  organisations := told_of;
  event_ids := told_as;
  whys := told_why;
  IF 'published' = ANY (told_why) THEN
    SELECT string_agg(CASE WHEN each.why = 'published' THEN convert_to(trace_published(each.id), 'UTF8') ELSE event_bytes.bytes END, '\x1e' ORDER BY each.id)
    INTO events FROM unnest(told, told_why) AS each (id, why) JOIN event_bytes ON event_bytes.event = each.id;
  ELSE
    SELECT string_agg(event_bytes.bytes, '\x1e' ORDER BY event_bytes.event) INTO events FROM event_bytes WHERE event_bytes.event = ANY (found);
  END IF;
  SELECT * INTO sources, targets, kinds, told_by, quantities, uoms, shares FROM trace_edges(found, own);
  SELECT array_agg(known.id), array_agg(known.name), array_agg(known.scheme) INTO names, identifiers, schemes
  FROM (SELECT * FROM trace_name AS known WHERE known.id = ANY (own) ORDER BY known.id) AS known;
  IF 'installed' = ANY (kinds) OR 'removed' = ANY (kinds) THEN  -- by a device that is of no trace itself
    SELECT names || array_agg(known.id), identifiers || array_agg(known.name), schemes || array_agg(NULL::text) INTO names, identifiers, schemes
    FROM (SELECT DISTINCT edge.source FROM unnest(sources, kinds) AS edge (source, kind) WHERE edge.kind IN ('installed', 'removed')) AS device
    JOIN trace_name AS known ON known.id = device.source AND known.id <> ALL (own);
  END IF;
  WITH inside AS MATERIALIZED (
    SELECT inside.*, inside.event IN (SELECT unnest(seen)) AS is_shown  -- looked up by hash; a join could go through it row by row
    FROM trace_inside AS inside
    WHERE inside.child = ANY (own) AND inside.parent IN (SELECT unnest(own)))
  SELECT array_agg(inside.parent), array_agg(inside.child), array_agg(inside.first), array_agg(inside.last) INTO holders, held, starts, lasts
  FROM (SELECT * FROM inside
        -- Between two names of the trace there may be more than its events tell.
        WHERE inside.is_shown
           OR inside.event IN (SELECT shown.event FROM trace_shown(ARRAY(SELECT other.event FROM inside AS other WHERE NOT other.is_shown)) AS shown)
        ORDER BY inside.first, inside.child, inside.parent) AS inside;
  IF EXISTS (SELECT FROM trace_portion AS portion WHERE portion.lot = ANY (seeds)) THEN
    SELECT string_agg(portion.body, ',' ORDER BY portion.lot, portion.place) INTO portions FROM trace_portion AS portion WHERE portion.lot = ANY (seeds);
  ELSE
    SELECT string_agg(portion.body, ',' ORDER BY lot.name, portion.place) INTO portions
    FROM trace_portion AS portion JOIN trace_name AS lot ON lot.id = portion.lot
    WHERE portion.parcel = ANY (ARRAY(SELECT unit.parcel FROM trace_in_unit AS unit WHERE unit.unit = ANY (seeds)));
  END IF;
  places := ARRAY(SELECT DISTINCT mention.identifier FROM event_mention AS mention
                  WHERE mention.event = ANY (found) AND mention.role IN ('read_point', 'biz_location'));
  ends := ARRAY(SELECT known.name FROM trace_name AS known WHERE known.id = ANY (beyond) ORDER BY known.name COLLATE "C");
  RETURN NEXT;
END
$$;

REVOKE EXECUTE ON FUNCTION trace_nearest FROM PUBLIC;
