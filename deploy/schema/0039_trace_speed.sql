-- A trace in less time, of the same rows. A list of numbers is looked up as one list (`= ANY`), which reads an index once from its
-- beginning to its end, where a join would go down it once a number; what was reached comes as arrays by what it is, which nobody
-- labels and takes apart again; and each event is looked up once for who recorded it.

-- The further events of runs that stay open, which few are.
CREATE INDEX trace_run_event_further ON trace_run_event (event) WHERE event <> run;

-- All that a trace of these names reaches, in one of the directions or both, each list as columns: names (followed, from `first` to
-- `last`), classes (kinds of goods, not followed), ends (there is more beyond them), holders (held what was reached, meanwhile), parts
-- (lots of which some goods only were reached), events by when they happened. A list is null where it is empty.
CREATE FUNCTION trace_gathered(
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
  back_untils bigint[] := '{}';
  back_depths integer[] := '{}';
  ahead integer[] := '{}';
  ahead_sinces bigint[] := '{}';
  ahead_depths integer[] := '{}';
  steps bigint[];
  step_ats bigint[];
BEGIN
  IF untils IS NOT NULL THEN
    SELECT array_agg(found.name), array_agg(found.until), array_agg(found.depth) INTO back, back_untils, back_depths
    FROM trace_reach_back(seeds, untils, deepest) AS found;
  END IF;
  IF sinces IS NOT NULL THEN
    SELECT array_agg(found.name), array_agg(found.since), array_agg(found.depth) INTO ahead, ahead_sinces, ahead_depths
    FROM trace_reach_forward(seeds, sinces, deepest) AS found;
  END IF;
  WITH RECURSIVE met AS MATERIALIZED (
    SELECT each.name, never AS first, each.until AS last, each.depth, false AS ahead FROM unnest(back, back_untils, back_depths) AS each (name, until, depth)
    UNION ALL
    SELECT each.name, each.since, CASE WHEN each.since IS NOT NULL THEN ever END, each.depth, true
    FROM unnest(ahead, ahead_sinces, ahead_depths) AS each (name, since, depth)),
  reached AS MATERIALIZED (SELECT * FROM met WHERE met.last IS NOT NULL),
  -- Goods in a unit that was reached: the parcel, from which of its steps on, and between which moments what held it counts.
  parcel AS MATERIALIZED (
    SELECT unit.parcel, unit.first AS start, never AS first, least(reached.last, unit.gone) AS last, reached.depth, false AS ahead
    FROM reached JOIN trace_in_unit AS unit ON unit.unit = reached.name AND unit.entered <= reached.last
    WHERE NOT reached.ahead AND unit.unit = ANY (back)
    UNION ALL
    SELECT pieces.parcel, pieces.start, coalesce(step.at, ever), ever, reached.depth, true
    FROM reached JOIN trace_in_unit AS unit ON unit.unit = reached.name AND unit.latest >= reached.first
    CROSS JOIN LATERAL trace_pieces(unit.parcel, trace_start(unit.parcel, unit.first, reached.first)) AS pieces
    LEFT JOIN trace_step AS step ON step.parcel = pieces.parcel AND step.number = pieces.start
    WHERE reached.ahead),
  around AS MATERIALIZED (
    SELECT inside.child, inside.parent, inside.first, inside.last FROM trace_inside AS inside WHERE inside.child = ANY (back || ahead)),
  held AS (
    SELECT around.parent AS unit, greatest(around.first, reached.first) AS first, least(around.last, reached.last) AS last
    FROM reached JOIN around ON around.child = reached.name AND around.first <= reached.last AND around.last >= reached.first
    UNION
    SELECT spell.unit, greatest(spell.entered, parcel.first), least(spell.gone, parcel.last)
    FROM parcel JOIN trace_spell AS spell ON spell.parcel = parcel.parcel AND spell.entered <= parcel.last AND spell.gone >= parcel.first
    UNION
    SELECT around.unit, around.first, around.last FROM held CROSS JOIN LATERAL (
      SELECT inside.parent AS unit, greatest(inside.first, held.first) AS first, least(inside.last, held.last) AS last
      FROM trace_inside AS inside
      WHERE inside.child = held.unit AND inside.first <= held.last AND inside.last >= held.first
      UNION ALL
      SELECT compartment.vehicle, held.first, held.last FROM trace_name AS compartment
      WHERE compartment.id = held.unit AND compartment.vehicle IS NOT NULL) AS around),
  step AS MATERIALIZED (
    SELECT step.event, step.at FROM parcel CROSS JOIN LATERAL trace_line(parcel.parcel) AS line
    JOIN trace_step AS step ON step.parcel = line.parcel AND step.number < line.count
    UNION ALL
    -- What was split off and went elsewhere is told by its events, and by nothing behind them.
    SELECT step.event, step.at FROM parcel CROSS JOIN LATERAL trace_pieces(parcel.parcel, parcel.start) AS pieces
    JOIN trace_step AS step ON step.parcel = pieces.parcel
    WHERE NOT parcel.ahead AND pieces.parcel <> parcel.parcel)
  SELECT name.ids, name.firsts, name.lasts, name.depths, class.ids, beyond.ids, holder.ids, holder.firsts, holder.lasts,
         part.ids, part.firsts, part.lasts, part.depths, taken.ids, taken.ats
  INTO names, name_firsts, name_lasts, name_depths, classes, ends, holders, holder_firsts, holder_lasts,
       parts, part_firsts, part_lasts, part_depths, steps, step_ats
  FROM (SELECT array_agg(reached.name) AS ids, array_agg(reached.first) AS firsts, array_agg(reached.last) AS lasts, array_agg(reached.depth) AS depths
        FROM reached) AS name
  CROSS JOIN (SELECT array_agg(DISTINCT met.name) AS ids FROM met WHERE met.last IS NULL AND met.depth <= deepest) AS class
  CROSS JOIN (SELECT array_agg(DISTINCT met.name) AS ids FROM met WHERE met.depth > deepest) AS beyond
  CROSS JOIN (SELECT array_agg(held.unit) AS ids, array_agg(held.first) AS firsts, array_agg(held.last) AS lasts FROM held) AS holder
  CROSS JOIN (
    SELECT array_agg(goods.lot) AS ids, array_agg(goods.first) AS firsts, array_agg(goods.last) AS lasts, array_agg(goods.depth) AS depths
    FROM (SELECT goods.lot, min(parcel.first) AS first, max(parcel.last) AS last, min(parcel.depth) AS depth
          FROM parcel JOIN trace_parcel AS goods ON goods.id = parcel.parcel GROUP BY goods.lot) AS goods) AS part
  CROSS JOIN (SELECT array_agg(step.event) AS ids, array_agg(step.at) AS ats FROM step) AS taken;
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
    GROUP BY happened.event ORDER BY at, event) AS found;
END
$$;

-- The same as rows (0032).
CREATE OR REPLACE FUNCTION trace_reached(seeds integer[], untils bigint[], sinces bigint[], deepest integer)
  RETURNS TABLE (what text, id bigint, first bigint, last bigint, depth integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET jit = off AS $$
  WITH gathered AS MATERIALIZED (SELECT * FROM trace_gathered(seeds, untils, sinces, deepest))
  SELECT 'name', each.id::bigint, each.first, each.last, each.depth
  FROM gathered CROSS JOIN LATERAL unnest(gathered.names, gathered.name_firsts, gathered.name_lasts, gathered.name_depths) AS each (id, first, last, depth)
  UNION ALL
  SELECT 'class', each.id, NULL, NULL, NULL FROM gathered CROSS JOIN LATERAL unnest(gathered.classes) AS each (id)
  UNION ALL
  SELECT 'end', each.id, NULL, NULL, NULL FROM gathered CROSS JOIN LATERAL unnest(gathered.ends) AS each (id)
  UNION ALL
  SELECT 'held', each.id, each.first, each.last, NULL
  FROM gathered CROSS JOIN LATERAL unnest(gathered.holders, gathered.holder_firsts, gathered.holder_lasts) AS each (id, first, last)
  UNION ALL
  SELECT 'part', each.id, each.first, each.last, each.depth
  FROM gathered CROSS JOIN LATERAL unnest(gathered.parts, gathered.part_firsts, gathered.part_lasts, gathered.part_depths) AS each (id, first, last, depth)
  UNION ALL
  SELECT 'event', each.id, each.at, NULL, NULL FROM gathered CROSS JOIN LATERAL unnest(gathered.events, gathered.ats) AS each (id, at)
$$;

-- Why the asker may see each of these events, in their order; null: they may not. `organisations`: who recorded them. The ways are
-- those of `trace_shown`, each looked up for all events of others at once.
CREATE FUNCTION trace_whys(events bigint[], organisations text[]) RETURNS text[]
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  own CONSTANT text := current_organisation();
  called CONSTANT text[] := ARRAY(SELECT own UNION ALL SELECT organisation.party FROM organisation WHERE organisation.id = own);
  publishing CONSTANT text[] := ARRAY(SELECT organisation.id FROM organisation WHERE organisation.publishes AND organisation.id = ANY (organisations));
  others bigint[];
  taken bigint[];
  given bigint[];
  official bigint[] := '{}';
BEGIN
  others := ARRAY(SELECT each.id FROM unnest(events, organisations) AS each (id, organisation) WHERE each.organisation IS DISTINCT FROM own);
  taken := ARRAY(SELECT party.event FROM event_party AS party
                 WHERE party.event = ANY (others) AND party.organisation = ANY (called) AND party.part <> 'capture');
  -- Each event once: behind a hundred lots it is granted a hundred times.
  given := ARRAY(SELECT each.event FROM unnest(others) AS each (event)
                 CROSS JOIN LATERAL (SELECT FROM lot_grant_event AS given WHERE given.organisation = own AND given.event = each.event LIMIT 1) AS given);
  IF EXISTS (SELECT FROM asker_scope()) THEN
    official := ARRAY(SELECT official_covers(others));
  END IF;
  RETURN (
    SELECT array_agg(CASE
      WHEN asked.organisation = own THEN 'own'
      WHEN asked.id IN (SELECT unnest(taken)) THEN 'party'
      WHEN asked.id IN (SELECT unnest(given)) THEN 'granted'
      WHEN asked.id IN (SELECT unnest(official)) THEN 'official'
      WHEN asked.organisation = ANY (publishing) THEN 'published' END)
    FROM unnest(events, organisations) AS asked (id, organisation));
END
$$;

-- Between these names, by these events, as before (0032). A run of which no further event is told here needs no look at any: what its
-- first event told stands under the run's own number.
CREATE OR REPLACE FUNCTION trace_edges(events bigint[], names integer[])
  RETURNS TABLE (sources integer[], targets integer[], kinds text[], places integer[], quantities float8[], uoms text[], shares float8[])
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  -- Of which an event that is not their first is told here.
  opened CONSTANT bigint[] := ARRAY(SELECT DISTINCT said.run FROM trace_run_event AS said WHERE said.event = ANY (events) AND said.event <> said.run);
  -- All others are one event each, under whose own number they stand.
  alone CONSTANT bigint[] := CASE WHEN opened = '{}' THEN events ELSE ARRAY(SELECT unnest(events) EXCEPT SELECT unnest(opened)) END;
  open_sources integer[];
  open_targets integer[];
  open_places integer[];
  open_quantities float8[];
  open_uoms text[];
  open_shares float8[];
BEGIN
  IF opened <> '{}' THEN
    WITH told AS MATERIALIZED (SELECT each.id, each.place::integer FROM unnest(events) WITH ORDINALITY AS each (id, place)),
    side AS MATERIALIZED (
      SELECT side.run, side.output, side.name, side.first, side.quantity, side.uom, side.share
      FROM trace_run AS side WHERE side.run = ANY (opened) AND NOT side.within AND side.name IN (SELECT unnest(names))),
    made AS (
      SELECT DISTINCT ON (used.run, used.name, made.name) used.name AS source, made.name AS target, told.place, used.quantity, used.uom, used.share
      FROM trace_run_event AS said JOIN told ON told.id = said.event
      JOIN side AS made ON made.run = said.run AND made.output AND made.first <= said.at
      JOIN side AS used ON used.run = said.run AND NOT used.output AND used.first <= said.at
      WHERE said.run = ANY (opened)
      ORDER BY used.run, used.name, made.name, said.at)
    SELECT array_agg(made.source), array_agg(made.target), array_agg(made.place), array_agg(made.quantity), array_agg(made.uom), array_agg(made.share)
    INTO open_sources, open_targets, open_places, open_quantities, open_uoms, open_shares FROM made;
  END IF;
  RETURN QUERY
  WITH own AS MATERIALIZED (SELECT each.name FROM unnest(names) AS each (name)),
  told AS MATERIALIZED (SELECT each.id, each.place::integer FROM unnest(events) WITH ORDINALITY AS each (id, place)),
  made AS MATERIALIZED (
    SELECT side.run, side.name, told.place FROM trace_run AS side JOIN told ON told.id = side.run
    WHERE side.run = ANY (alone) AND side.output AND NOT side.within AND side.event = side.run AND side.name IN (SELECT own.name FROM own)),
  edge (source, target, kind, place, quantity, uom, share) AS (
    SELECT used.name, made.name, 'transformed', made.place, used.quantity, used.uom, used.share
    FROM made JOIN trace_run AS used ON used.run = made.run
    WHERE used.run = ANY (alone) AND NOT used.output AND NOT used.within AND used.event = used.run AND used.name IN (SELECT own.name FROM own)
    UNION ALL
    SELECT each.source, each.target, 'transformed', each.place, each.quantity, each.uom, each.share
    FROM unnest(open_sources, open_targets, open_places, open_quantities, open_uoms, open_shares) AS each (source, target, place, quantity, uom, share)
    UNION ALL
    SELECT CASE WHEN move.kind IN ('unpacked', 'unloaded') THEN move.parent ELSE move.child END,
           CASE WHEN move.kind IN ('unpacked', 'unloaded') THEN move.child ELSE move.parent END,
           move.kind, told.place, move.quantity, move.uom, NULL
    FROM trace_move AS move JOIN told ON told.id = move.event
    WHERE move.event = ANY (events) AND move.parent IN (SELECT own.name FROM own)
      AND (move.kind IN ('installed', 'removed') OR move.child IN (SELECT own.name FROM own)))
  SELECT array_agg(edge.source), array_agg(edge.target), array_agg(edge.kind), array_agg(edge.place), array_agg(edge.quantity),
         array_agg(edge.uom), array_agg(edge.share)
  FROM (SELECT * FROM edge ORDER BY edge.place, edge.source, edge.target) AS edge;
END
$$;

REVOKE EXECUTE ON FUNCTION trace_gathered, trace_whys FROM PUBLIC;
