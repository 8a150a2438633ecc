-- A trace in less time, of the same rows. What is long (the events' texts, the links) is not put together in the database, to be copied
-- once for every hand that it goes through, but left to be fetched, row by row, while whoever asks works on what came before it. And
-- each step of the walk back looks at what is there: most goods are in no unit and have no other name.

CREATE INDEX trace_name_class ON trace_name (id) WHERE is_class;
CREATE INDEX trace_name_vehicle ON trace_name (id) INCLUDE (vehicle) WHERE vehicle IS NOT NULL;

-- What the names are made of, and what they held, up to a moment each, as before (0041), but each list as a column; `classes`: kinds of
-- goods, which are not followed; `ends`: what lies beyond `deepest`, null where nothing does.
DROP FUNCTION trace_reach_back;
CREATE FUNCTION trace_reach_back(
    seeds integer[], moments bigint[], deepest integer,
    OUT names integer[], OUT untils bigint[], OUT depths integer[], OUT classes integer[], OUT ends integer[])
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
  -- Reached by as many transformations as now, and by one more.
  near integer[] := seeds;
  near_untils bigint[] := moments;
  near_earliest bigint[];
  far integer[] := '{}';
  far_untils bigint[] := '{}';
  beside integer[];
  beside_untils bigint[];
  kinds integer[];
  early integer[];
  unmade integer[] := '{}';  -- used before anything made it, somewhere on the way: a clock is wrong
  runs bigint[];
  units integer[];
  content integer[];
  content_lots integer[];
  at_depth integer := 0;
  is_again boolean := false;
BEGIN
  names := '{}';
  untils := '{}';
  depths := '{}';
  classes := '{}';
  LOOP
    SELECT array_agg(each.name), array_agg(each.until), array_agg(each.earliest) INTO near, near_untils, near_earliest
    FROM (SELECT each.name, max(each.until) AS until, min(each.until) AS earliest
          FROM unnest(near, near_untils) AS each (name, until) GROUP BY each.name ORDER BY each.name) AS each;
    kinds := ARRAY(SELECT known.id FROM trace_name AS known WHERE known.id = ANY (near) AND known.is_class AND known.id <> ALL (seeds));
    IF kinds <> '{}' OR EXISTS (SELECT FROM unnest(names) AS known (name) WHERE known.name IN (SELECT unnest(near))) THEN
      is_again := true;
      classes := classes || kinds;
      -- What was reached before goes on with what brings something new.
      SELECT array_agg(each.name), array_agg(greatest(each.until, known.until)), array_agg(each.earliest) INTO near, near_untils, near_earliest
      FROM unnest(near, near_untils, near_earliest) AS each (name, until, earliest)
      LEFT JOIN (SELECT known.name, max(known.until) AS until FROM unnest(names, untils) AS known (name, until) GROUP BY known.name) AS known
        ON known.name = each.name
      WHERE each.name <> ALL (kinds)
        AND (known.name IS NULL OR known.until < CASE WHEN at_depth > deepest THEN trace_instant_start(each.until) ELSE each.until END
             OR each.name <> ALL (unmade) AND EXISTS (
               SELECT FROM trace_run AS made WHERE made.name = each.name AND made.output AND each.earliest < trace_instant_start(made.made)));
    END IF;
    EXIT WHEN at_depth > deepest;
    names := names || near;
    untils := untils || near_untils;
    depths := depths || array_fill(at_depth, ARRAY[coalesce(cardinality(near), 0)]);
    -- What made it before it was used; or all that did if it was used before anything made it.
    SELECT array_agg(made.run ORDER BY made.run) FILTER (WHERE trace_instant_start(made.first) <= each.until),
           array_agg(made.name) FILTER (WHERE each.earliest < trace_instant_start(made.made))
    INTO runs, early
    FROM unnest(near, near_untils, near_earliest) AS each (name, until, earliest) JOIN trace_run AS made ON made.name = each.name
    WHERE made.name = ANY (near) AND made.output;
    unmade := unmade || early;
    IF unmade && near THEN
      runs := runs || ARRAY(SELECT made.run FROM trace_run AS made WHERE made.name = ANY (near) AND made.output AND made.name = ANY (unmade));
    END IF;
    content := '{}';
    content_lots := '{}';
    units := ARRAY(SELECT DISTINCT unit.unit FROM trace_in_unit AS unit WHERE unit.unit = ANY (near));
    IF units <> '{}' THEN
      WITH content AS MATERIALIZED (
        SELECT each.name, parcel.lot, parcel.runs
        FROM unnest(near, near_untils) AS each (name, until)
        JOIN trace_in_unit AS unit ON unit.unit = each.name AND unit.entered <= each.until JOIN trace_parcel AS parcel ON parcel.id = unit.parcel
        WHERE unit.unit = ANY (units) AND parcel.id = ANY (ARRAY(SELECT held.parcel FROM trace_in_unit AS held WHERE held.unit = ANY (units))))
      SELECT ARRAY(SELECT content.name FROM content), ARRAY(SELECT content.lot FROM content),
             runs || ARRAY(SELECT made.run FROM content CROSS JOIN LATERAL unnest(content.runs) AS made (run))
      INTO content, content_lots, runs;
    END IF;
    SELECT far || array_agg(used.name), far_untils || array_agg(trace_instant_end(used.last)) INTO far, far_untils
    FROM trace_run AS used WHERE used.run = ANY (runs) AND NOT used.output AND NOT used.within;
    beside := NULL;
    IF EXISTS (SELECT FROM trace_inside AS held WHERE held.parent = ANY (near)) OR EXISTS (SELECT FROM trace_same AS same WHERE same.name = ANY (near)) THEN
      SELECT array_agg(each.name), array_agg(each.until) INTO beside, beside_untils FROM (
        SELECT held.child AS name, least(held.last, each.until) AS until
        FROM unnest(near, near_untils) AS each (name, until) JOIN trace_inside AS held ON held.parent = each.name AND held.first <= each.until
        WHERE held.parent = ANY (near)
          AND NOT EXISTS (SELECT FROM unnest(content, content_lots) AS content (name, lot) WHERE content.name = each.name AND content.lot = held.child)
        UNION ALL
        SELECT same.other, each.until FROM unnest(near, near_untils) AS each (name, until) JOIN trace_same AS same ON same.name = each.name
        WHERE same.name = ANY (near)) AS each;
    END IF;
    IF beside IS NOT NULL THEN
      near := beside;
      near_untils := beside_untils;
    ELSE
      EXIT WHEN cardinality(far) = 0;
      at_depth := at_depth + 1;
      near := far;
      near_untils := far_untils;
      far := '{}';
      far_untils := '{}';
    END IF;
  END LOOP;
  ends := CASE WHEN at_depth > deepest THEN near END;
  IF is_again THEN
    classes := ARRAY(SELECT DISTINCT unnest(classes));
    SELECT array_agg(known.name), array_agg(known.until), array_agg(known.depth) INTO names, untils, depths
    FROM (SELECT known.name, max(known.until) AS until, min(known.depth) AS depth
          FROM unnest(names, untils, depths) AS known (name, until, depth) GROUP BY known.name) AS known;
  END IF;
END
$$;

-- All that a trace of these names reaches, as before (0039), but the events by their numbers.
CREATE OR REPLACE FUNCTION trace_gathered(
    seeds integer[], untils bigint[], sinces bigint[], deepest integer,
    OUT names integer[], OUT name_firsts bigint[], OUT name_lasts bigint[], OUT name_depths integer[],
    OUT classes integer[], OUT ends integer[],
    OUT holders integer[], OUT holder_firsts bigint[], OUT holder_lasts bigint[],
    OUT parts integer[], OUT part_firsts bigint[], OUT part_lasts bigint[], OUT part_depths integer[],
    OUT events bigint[], OUT ats bigint[])
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  ever CONSTANT bigint := 9223372036854775807;
  never CONSTANT bigint := -9223372036854775808;
  back integer[] := '{}';
  back_lasts bigint[];
  ahead integer[] := '{}';
  ahead_firsts bigint[];
  ahead_depths integer[];
  ahead_classes integer[];
  ahead_ends integer[];
  units integer[];
  spells integer[];
  spell_firsts bigint[];
  spell_lasts bigint[];
  steps bigint[];
  step_ats bigint[];
BEGIN
  IF untils IS NOT NULL THEN
    SELECT * INTO back, back_lasts, name_depths, classes, ends FROM trace_reach_back(seeds, untils, deepest);
  END IF;
  IF sinces IS NOT NULL THEN
    SELECT coalesce(array_agg(found.name) FILTER (WHERE found.since IS NOT NULL), '{}'), array_agg(found.since) FILTER (WHERE found.since IS NOT NULL),
           array_agg(found.depth) FILTER (WHERE found.since IS NOT NULL),
           array_agg(found.name) FILTER (WHERE found.since IS NULL AND found.depth <= deepest), array_agg(found.name) FILTER (WHERE found.depth > deepest)
    INTO ahead, ahead_firsts, ahead_depths, ahead_classes, ahead_ends
    FROM trace_reach_forward(seeds, sinces, deepest) AS found;
  END IF;
  names := back || ahead;
  name_firsts := array_fill(never, ARRAY[cardinality(back)]) || ahead_firsts;
  name_lasts := back_lasts || array_fill(ever, ARRAY[cardinality(ahead)]);
  name_depths := name_depths || ahead_depths;
  classes := classes || ahead_classes;
  ends := ends || ahead_ends;
  units := ARRAY(SELECT DISTINCT unit.unit FROM trace_in_unit AS unit WHERE unit.unit = ANY (names));
  IF units <> '{}' THEN
    WITH reached AS MATERIALIZED (
      SELECT each.name, each.first, each.last, each.depth, each.place > cardinality(back) AS ahead
      FROM unnest(names, name_firsts, name_lasts, name_depths) WITH ORDINALITY AS each (name, first, last, depth, place)
      WHERE each.name IN (SELECT unnest(units))),
    -- Goods in a unit that was reached: the parcel, from which of its steps on, and between which moments what held it counts.
    parcel AS MATERIALIZED (
      SELECT unit.parcel, unit.first AS start, never AS first, least(reached.last, unit.gone) AS last, reached.depth, false AS ahead
      FROM reached JOIN trace_in_unit AS unit ON unit.unit = reached.name AND unit.entered <= reached.last
      WHERE NOT reached.ahead AND unit.unit = ANY (units)
      UNION ALL
      SELECT pieces.parcel, pieces.start, coalesce(step.at, ever), ever, reached.depth, true
      FROM reached JOIN trace_in_unit AS unit ON unit.unit = reached.name AND unit.latest >= reached.first
      CROSS JOIN LATERAL trace_pieces(unit.parcel, trace_start(unit.parcel, unit.first, reached.first)) AS pieces
      LEFT JOIN trace_step AS step ON step.parcel = pieces.parcel AND step.number = pieces.start
      WHERE reached.ahead AND unit.unit = ANY (units)),
    step AS MATERIALIZED (
      SELECT step.event, step.at FROM parcel CROSS JOIN LATERAL trace_line(parcel.parcel) AS line
      JOIN trace_step AS step ON step.parcel = line.parcel AND step.number < line.count
      UNION ALL
      -- What was split off and went elsewhere is told by its events, and by nothing behind them.
      SELECT step.event, step.at FROM parcel CROSS JOIN LATERAL trace_pieces(parcel.parcel, parcel.start) AS pieces
      JOIN trace_step AS step ON step.parcel = pieces.parcel
      WHERE NOT parcel.ahead AND pieces.parcel <> parcel.parcel)
    SELECT part.ids, part.firsts, part.lasts, part.depths, around.units, around.firsts, around.lasts, taken.ids, taken.ats
    INTO parts, part_firsts, part_lasts, part_depths, spells, spell_firsts, spell_lasts, steps, step_ats
    FROM (
      SELECT array_agg(goods.lot) AS ids, array_agg(goods.first) AS firsts, array_agg(goods.last) AS lasts, array_agg(goods.depth) AS depths
      FROM (SELECT goods.lot, min(parcel.first) AS first, max(parcel.last) AS last, min(parcel.depth) AS depth
            FROM parcel JOIN trace_parcel AS goods ON goods.id = parcel.parcel GROUP BY goods.lot) AS goods) AS part
    CROSS JOIN (
      SELECT array_agg(spell.unit) AS units, array_agg(greatest(spell.entered, parcel.first)) AS firsts, array_agg(least(spell.gone, parcel.last)) AS lasts
      FROM parcel JOIN trace_spell AS spell ON spell.parcel = parcel.parcel AND spell.entered <= parcel.last AND spell.gone >= parcel.first) AS around
    CROSS JOIN (SELECT array_agg(step.event) AS ids, array_agg(step.at) AS ats FROM step) AS taken;
  END IF;
  WITH RECURSIVE around AS MATERIALIZED (
    SELECT inside.child, inside.parent, inside.first, inside.last FROM trace_inside AS inside WHERE inside.child = ANY (names)),
  held AS (
    SELECT around.parent AS unit, greatest(around.first, reached.first) AS first, least(around.last, reached.last) AS last
    FROM unnest(names, name_firsts, name_lasts) AS reached (name, first, last)
    JOIN around ON around.child = reached.name AND around.first <= reached.last AND around.last >= reached.first
    UNION
    SELECT * FROM unnest(spells, spell_firsts, spell_lasts)
    UNION
    SELECT around.unit, around.first, around.last FROM held CROSS JOIN LATERAL (
      SELECT inside.parent AS unit, greatest(inside.first, held.first) AS first, least(inside.last, held.last) AS last
      FROM trace_inside AS inside
      WHERE inside.child = held.unit AND inside.first <= held.last AND inside.last >= held.first
      UNION ALL
      SELECT compartment.vehicle, held.first, held.last FROM trace_name AS compartment
      WHERE compartment.id = held.unit AND compartment.vehicle IS NOT NULL) AS around)
  SELECT array_agg(held.unit), array_agg(held.first), array_agg(held.last) INTO holders, holder_firsts, holder_lasts FROM held;
  -- Of arrays, since the planner takes what comes out of the recursion for far more than it is, and would not look up by moment.
  SELECT array_agg(found.event), array_agg(found.at) INTO events, ats
  FROM (
    SELECT happened.event, min(happened.at) AS at
    FROM (
      SELECT named.event, named.at FROM trace_named AS named WHERE named.name = ANY (names)
      UNION ALL
      -- A truck held one pallet after the other, and is looked up once for the time that it held any.
      SELECT named.event, named.at
      FROM (SELECT each.name, unnest(range_agg(int8range(each.first, least(each.last, ever - 1), '[]'))) AS span
            FROM unnest(holders, holder_firsts, holder_lasts) AS each (name, first, last)
            WHERE each.first <= least(each.last, ever - 1) GROUP BY each.name) AS meanwhile
      JOIN trace_named AS named ON named.name = meanwhile.name AND named.at >= lower(meanwhile.span) AND named.at < upper(meanwhile.span)
      UNION ALL
      SELECT each.event, each.at FROM unnest(steps, step_ats) AS each (event, at)) AS happened
    GROUP BY happened.event ORDER BY happened.event) AS found;
END
$$;

-- Whether something was recorded of one of these, or of a run of these events, that is not in the index, as before (0032), but mostly
-- there is nothing such at all.
CREATE OR REPLACE FUNCTION trace_is_behind(names integer[], events bigint[]) RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  reached CONSTANT bigint := coalesce((SELECT projection.position FROM projection WHERE projection.name = 'portions'), 0);
  later CONSTANT bigint[] := ARRAY(SELECT leaf.event FROM leaf WHERE leaf.event IS NOT NULL AND leaf.position > reached LIMIT 1000);
  missing CONSTANT bigint[] := later || ARRAY(
    SELECT leaf.event FROM set_aside JOIN leaf ON leaf.position = set_aside.position WHERE set_aside.part IN ('event', 'presence'));
BEGIN
  RETURN cardinality(later) = 1000 OR missing <> '{}' AND (
    EXISTS (SELECT FROM event_mention AS mention JOIN trace_name AS known ON known.name = mention.identifier
            WHERE mention.event = ANY (missing) AND known.id = ANY (names))
    OR EXISTS (SELECT FROM event_mention AS mention JOIN event_mention AS open ON open.identifier = mention.identifier AND open.role = 'run'
               WHERE mention.event = ANY (missing) AND mention.role = 'run' AND open.event = ANY (events)));
END
$$;

-- Of each of these events, in the order of their numbers, who recorded it, where it stands, and why the asker may see it, null: they may
-- not (0048); each is looked up once for all three. Shorter than `events` where one of them is not sequenced.
DROP FUNCTION trace_whys;
CREATE FUNCTION trace_seen(events bigint[], OUT organisations text[], OUT positions bigint[], OUT whys text[])
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
  own CONSTANT text := current_organisation();
  called CONSTANT text[] := ARRAY(SELECT own UNION ALL SELECT organisation.party FROM organisation WHERE organisation.id = own);
  publishing CONSTANT text[] := ARRAY(SELECT organisation.id FROM organisation WHERE organisation.publishes);
  taken CONSTANT bigint[] := ARRAY(SELECT party.event FROM event_party AS party
                                   WHERE party.event = ANY (events) AND party.organisation = ANY (called) AND party.part <> 'capture');
  official bigint[] := '{}';
BEGIN
  IF current_account() IS NOT NULL AND EXISTS (SELECT FROM asker_scope()) THEN
    official := ARRAY(SELECT official_covers(events));
  END IF;
  SELECT array_agg(each.organisation), array_agg(each.position), array_agg(each.why) INTO organisations, positions, whys
  FROM (
    SELECT event.organisation, leaf.position, CASE
        WHEN event.organisation = own THEN 'own'
        WHEN event.id IN (SELECT unnest(taken)) THEN 'party'
        WHEN given.event IS NOT NULL THEN 'granted'
        WHEN event.id IN (SELECT unnest(official)) THEN 'official'
        WHEN event.organisation IN (SELECT unnest(publishing)) THEN 'published' END AS why
    FROM event JOIN leaf ON leaf.event = event.id
    LEFT JOIN (SELECT given.event FROM granted_event AS given WHERE given.organisation = own AND given.event = ANY (events)) AS given
      ON given.event = event.id
    WHERE event.id = ANY (events) AND leaf.event = ANY (events) ORDER BY event.id) AS each;
END
$$;

-- All links that an event tells, as one text: most traces hold all its names, and are told all of them. Kept by the triggers of trace_edge.
-- `ends`: the names between which they are, without devices; `told`: as JSON with commas between them, null where there are more than 64,
-- which would be put together anew for each load of a ship.
CREATE TABLE trace_told (
  event bigint    PRIMARY KEY,
  ends  integer[] NOT NULL,
  told  text
);
ALTER TABLE trace_told ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION trace_telling(events bigint[]) RETURNS SETOF trace_told LANGUAGE sql STABLE AS $$
  SELECT edge.event, array_agg(DISTINCT edge.target) || array_agg(DISTINCT edge.source) FILTER (WHERE NOT edge.beside),
         CASE WHEN count(*) <= 64 THEN string_agg(edge.told, ',' ORDER BY edge.source, edge.target) END
  FROM trace_edge AS edge WHERE edge.event = ANY (events) GROUP BY edge.event
$$;
CREATE FUNCTION keep_trace_told() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  events CONSTANT bigint[] := ARRAY(SELECT DISTINCT changed.event FROM changed);
BEGIN
  DELETE FROM trace_told AS told WHERE told.event = ANY (events);
  INSERT INTO trace_told SELECT * FROM trace_telling(events);
  RETURN NULL;
END
$$;
CREATE TRIGGER told_links AFTER INSERT ON trace_edge REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION keep_trace_told();
CREATE TRIGGER changed_links AFTER UPDATE ON trace_edge REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION keep_trace_told();
CREATE TRIGGER gone_links AFTER DELETE ON trace_edge REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION keep_trace_told();
INSERT INTO trace_told SELECT * FROM trace_telling(ARRAY(SELECT DISTINCT edge.event FROM trace_edge AS edge));

-- Of each of these events, its links between these names, as JSON with commas between them. `opened`: runs that are told by several
-- events, of which `trace_open_edges` tells. Part of the query that asks it: it is the owner's alone.
DROP FUNCTION trace_edges;
CREATE FUNCTION trace_edges(events bigint[], names integer[], opened bigint[]) RETURNS TABLE (event bigint, told text) LANGUAGE sql STABLE AS $$
  WITH parted AS MATERIALIZED (   -- of which something is not told here, or is not told in one piece
    SELECT telling.event FROM (SELECT whole.event, whole.told IS NULL AS is_parted, unnest(whole.ends) AS name
                               FROM trace_told AS whole WHERE whole.event = ANY (events)) AS telling
    WHERE telling.is_parted OR telling.name NOT IN (SELECT unnest(names)))
  SELECT whole.event, whole.told FROM trace_told AS whole
  WHERE whole.event = ANY (events) AND whole.event NOT IN (SELECT parted.event FROM parted) AND (whole.event = ANY (opened)) IS NOT TRUE
  UNION ALL
  SELECT edge.event, string_agg(edge.told, ',' ORDER BY edge.source, edge.target)
  FROM trace_edge AS edge
  WHERE edge.event = ANY (ARRAY(SELECT parted.event FROM parted)) AND (edge.event = ANY (opened)) IS NOT TRUE
    AND (edge.beside OR edge.source IN (SELECT unnest(names))) IS TRUE AND (edge.target IN (SELECT unnest(names))) IS TRUE
  GROUP BY edge.event
$$;

-- Of runs that are told by several events, as before (0048), but `told_by` is the number of the event.
DROP FUNCTION trace_open_edges;
CREATE FUNCTION trace_open_edges(events bigint[], names integer[], opened bigint[])
  RETURNS TABLE (sources integer[], targets integer[], told_by bigint[], quantities float8[], uoms text[], shares float8[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET enable_nestloop = off SET jit = off AS $$
  WITH side AS MATERIALIZED (
    SELECT side.run, side.output, side.name, side.first, side.quantity, side.uom, side.share
    FROM trace_run AS side WHERE side.run = ANY (opened) AND NOT side.within AND side.name IN (SELECT unnest(names))),
  made AS (
    SELECT DISTINCT ON (used.run, used.name, made.name) used.name AS source, made.name AS target, said.event, used.quantity, used.uom, used.share
    FROM trace_run_event AS said
    JOIN side AS made ON made.run = said.run AND made.output AND made.first <= said.at
    JOIN side AS used ON used.run = said.run AND NOT used.output AND used.first <= said.at
    WHERE said.run = ANY (opened) AND said.event IN (SELECT unnest(events))
    ORDER BY used.run, used.name, made.name, said.at)
  SELECT array_agg(made.source), array_agg(made.target), array_agg(made.event), array_agg(made.quantity), array_agg(made.uom), array_agg(made.share)
  FROM made
$$;

-- A trace for who may see all of it, as before (0048), but the columns of events go by their numbers (`events`); and what is long is not
-- in the answer, but left to be fetched within the transaction, in the same order: `trace_events`, the bytes of each event, and
-- `trace_links`, the links that an event tells. Whoever may ask for the trace was found to may see both.
DROP FUNCTION trace_of_asker;
CREATE FUNCTION trace_of_asker(seed text, direction text, deepest integer, most integer)
  RETURNS TABLE (
    state text, events bigint[], moments bigint[], positions bigint[], organisations text[], whys text[],
    names integer[], identifiers text[], schemes text[],
    sources integer[], targets integer[], told_by bigint[], told_as text[], quantities float8[], uoms text[], shares float8[],
    holders integer[], held integer[], starts bigint[], lasts bigint[],
    portions text, places text[], ends text[], cut boolean)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET cursor_tuple_fraction = 1 SET jit = off AS $$
#variable_conflict use_column
DECLARE
  seeds integer[] := ARRAY(SELECT known.id FROM trace_name AS known WHERE known.name = seed);
  own integer[];
  beyond integer[];
  seen bigint[];
  seen_at bigint[];
  seen_of text[];
  seen_why text[];
  seen_position bigint[];
  found bigint[];
  -- Runs of which an event that is not their first is told here.
  opened bigint[];
  trace_events CONSTANT refcursor := 'trace_events';
  trace_links CONSTANT refcursor := 'trace_links';
BEGIN
  IF EXISTS (SELECT FROM pg_cursors AS standing WHERE standing.name = 'trace_events') THEN  -- of an answer before this one
    CLOSE trace_events;
    CLOSE trace_links;
  END IF;
  state := CASE WHEN cardinality(seeds) = 0 THEN 'unknown' ELSE 'whole' END;
  IF state = 'whole' THEN
    SELECT gathered.names || gathered.classes || gathered.holders || gathered.parts, gathered.ends,
           coalesce(gathered.events, '{}'), coalesce(gathered.ats, '{}')
    INTO own, beyond, seen, seen_at
    FROM trace_gathered(seeds, CASE WHEN direction IN ('back', 'both') THEN ARRAY[9223372036854775807] END,
                        CASE WHEN direction IN ('forward', 'both') THEN ARRAY[-9223372036854775808] END, deepest) AS gathered;
    own := ARRAY(SELECT DISTINCT each.id FROM unnest(own) AS each (id) ORDER BY each.id);
    SELECT * INTO seen_of, seen_position, seen_why FROM trace_seen(seen);
    state := CASE WHEN trace_is_behind(own, seen) THEN 'behind'
                  WHEN coalesce(cardinality(seen_why), 0) < cardinality(seen) OR array_position(seen_why, NULL) IS NOT NULL THEN 'hidden' ELSE 'whole' END;
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
    SELECT array_agg(each.id), array_agg(each.at), array_agg(each.organisation), array_agg(each.why), array_agg(each.position)
    INTO seen, seen_at, seen_of, seen_why, seen_position
    FROM unnest(seen, seen_at, seen_of, seen_why, seen_position) AS each (id, at, organisation, why, position)
    WHERE each.id IN (SELECT unnest(found));
  END IF;
  events := seen;
  moments := seen_at;
  positions := seen_position;
  organisations := seen_of;
  whys := seen_why;
  opened := ARRAY(SELECT DISTINCT said.run FROM trace_run_event AS said WHERE said.event = ANY (seen) AND said.event <> said.run);
  IF opened <> '{}' THEN
    SELECT * INTO sources, targets, told_by, quantities, uoms, shares FROM trace_open_edges(seen, own, opened);
    SELECT array_agg(event.event_id ORDER BY each.place) INTO told_as
    FROM unnest(told_by) WITH ORDINALITY AS each (id, place) JOIN event ON event.id = each.id;
  END IF;
  SELECT array_agg(known.id), array_agg(known.name), array_agg(known.scheme) INTO names, identifiers, schemes
  FROM (SELECT * FROM trace_name AS known WHERE known.id = ANY (own) ORDER BY known.id) AS known;
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
                  WHERE mention.event = ANY (seen) AND mention.role IN ('read_point', 'biz_location'));
  ends := ARRAY(SELECT known.name FROM trace_name AS known WHERE known.id = ANY (beyond) ORDER BY known.name COLLATE "C");
  IF 'published' = ANY (seen_why) THEN
    OPEN trace_events FOR
      SELECT CASE WHEN each.why = 'published' THEN convert_to(trace_published(each.id), 'UTF8') ELSE event_bytes.bytes END
      FROM unnest(seen, seen_why) AS each (id, why) JOIN event_bytes ON event_bytes.event = each.id ORDER BY each.id;
  ELSE
    OPEN trace_events FOR SELECT event_bytes.bytes FROM event_bytes WHERE event_bytes.event = ANY (seen) ORDER BY event_bytes.event;
  END IF;
  OPEN trace_links FOR SELECT edges.event, edges.told FROM trace_edges(seen, own, opened) AS edges;
  RETURN NEXT;
END
$$;

REVOKE EXECUTE ON FUNCTION trace_reach_back, trace_seen, trace_telling, keep_trace_told, trace_edges, trace_open_edges, trace_of_asker FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trace_of_asker TO suyuan_api;
