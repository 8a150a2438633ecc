-- The trace index: what `ledger.genealogy.trace` follows, as rows, so that a trace is a handful of set-wise steps whatever else the
-- database holds. A projection of events (`ingest.projection.tracks`): dropped and rebuilt at will.
--
-- Times are keys that sort as events happened: milliseconds * 2^20 + order of the step * 2^16 + place among events of one instant
-- and step (`ledger.genealogy.keys`). What lasts ends at the greatest key. No service of the API reads these tables: functions do.

CREATE TABLE trace_name (
  id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name     text NOT NULL UNIQUE,            -- a canonical identifier
  scheme   text NOT NULL,                   -- sscc, giai, uri, ...
  vehicle  integer,                         -- of a compartment: the trailer that it is part of
  is_class boolean NOT NULL                 -- a kind of goods, which no trace follows
);
-- Other names of the same box.
CREATE TABLE trace_same (
  name  integer NOT NULL,
  other integer NOT NULL,
  PRIMARY KEY (name, other)
);

-- Which events name it as what.
CREATE TABLE trace_named (
  name  integer NOT NULL,
  at    bigint  NOT NULL,
  event bigint  NOT NULL,
  PRIMARY KEY (name, at, event)
);

-- Who was inside whom, as `event` says: [first, last].
CREATE TABLE trace_inside (
  child  integer NOT NULL,
  parent integer NOT NULL,
  first  bigint  NOT NULL,
  last   bigint  NOT NULL,
  event  bigint  NOT NULL,
  PRIMARY KEY (child, parent, first)
);
CREATE INDEX trace_inside_parent ON trace_inside (parent);

-- A transformation over all its events, under the number of its first: what went in and came out, when first and last; `event`
-- is the one that says so first. `within`: went in inside another input, and is found behind that. `made`: when anything first made
-- that name, if anything did. Of what went in: how much of it, as
-- far as known, and which share of all that did.
CREATE TABLE trace_run (
  run    bigint  NOT NULL,
  name   integer NOT NULL,
  output boolean NOT NULL,
  within boolean NOT NULL DEFAULT false,
  first  bigint  NOT NULL,
  last   bigint  NOT NULL,
  event  bigint  NOT NULL,
  made   bigint,
  quantity float8,
  uom    text,
  share  float8,
  PRIMARY KEY (run, output, name)
);
CREATE INDEX trace_run_name ON trace_run (name, output);
CREATE TABLE trace_run_event (
  run   bigint NOT NULL,
  at    bigint NOT NULL,
  event bigint NOT NULL,
  PRIMARY KEY (run, at, event)
);

-- What an event moved, or installed: the edges of the graph.
CREATE TABLE trace_move (
  event    bigint  NOT NULL,
  at       bigint  NOT NULL,
  child    integer NOT NULL,
  parent   integer NOT NULL,
  quantity float8,
  uom      text,
  kind     text    NOT NULL CHECK (kind IN ('packed', 'unpacked', 'loaded', 'unloaded', 'installed', 'removed')),
  PRIMARY KEY (event, child, parent)
);

-- Goods of one lot that stayed together, as far as they were ever in a unit: `id` is of a digest of its lot and name; `origin`:
-- split from it after so many of its steps; `runs`: what made them; `became`: the run that used them up.
CREATE TABLE trace_parcel (
  id           bigint   PRIMARY KEY,
  lot          integer  NOT NULL,
  origin       bigint,
  origin_steps integer  NOT NULL,
  steps        integer  NOT NULL,
  runs         bigint[] NOT NULL,
  became       bigint
);
CREATE INDEX trace_parcel_lot ON trace_parcel (lot);
CREATE INDEX trace_parcel_origin ON trace_parcel (origin);
-- Its own events; those before the split are its origin's.
CREATE TABLE trace_step (
  parcel bigint  NOT NULL,
  number integer NOT NULL,
  at     bigint  NOT NULL,
  event  bigint  NOT NULL,
  PRIMARY KEY (parcel, number)
);
-- Each unit that held these goods, also before a split: from the event that put them in to the one after which they were out.
CREATE TABLE trace_spell (
  parcel  bigint  NOT NULL,
  unit    integer NOT NULL,
  entered bigint  NOT NULL,
  gone    bigint  NOT NULL,
  event   bigint  NOT NULL,
  PRIMARY KEY (parcel, unit, entered)
);
-- Of a parcel's own steps, the first and the last in a unit; `gone`: the key of the one after.
CREATE TABLE trace_in_unit (
  unit    integer NOT NULL,
  parcel  bigint  NOT NULL,
  first   integer NOT NULL,
  entered bigint  NOT NULL,
  latest  bigint  NOT NULL,
  gone    bigint  NOT NULL,
  PRIMARY KEY (unit, parcel)
);
CREATE INDEX trace_in_unit_parcel ON trace_in_unit (parcel);
-- Where the goods of a lot are and were, for those who may see every event of it: `ledger.genealogy.Portion`, times in
-- milliseconds.
CREATE TABLE trace_portion (
  lot    integer NOT NULL,
  place  integer NOT NULL,                  -- in the order of their birth
  parcel bigint  NOT NULL,
  body   text    NOT NULL,
  PRIMARY KEY (lot, place)
);
CREATE INDEX trace_portion_parcel ON trace_portion (parcel);

DO $rights$
DECLARE
  each text;
BEGIN
  FOREACH each IN ARRAY ARRAY['trace_name', 'trace_same', 'trace_named', 'trace_inside', 'trace_run', 'trace_run_event', 'trace_move', 'trace_parcel',
                              'trace_step', 'trace_spell', 'trace_in_unit', 'trace_portion'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', each);
    EXECUTE format('CREATE POLICY work ON %I TO suyuan_jobs USING (true) WITH CHECK (true)', each);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON %I TO suyuan_jobs', each);
  END LOOP;
END
$rights$;

-- Following ----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION trace_key(moment timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT floor(extract(epoch FROM moment) * 1000)::bigint << 20
$$;
-- The first and the last key of the same instant: the order within one is a convention and not what happened.
CREATE FUNCTION trace_instant_start(key bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT key >> 20 << 20 $$;
CREATE FUNCTION trace_instant_end(key bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT key | 1048575 $$;
CREATE FUNCTION trace_moment(key bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN key = 9223372036854775807 THEN 'infinity'::timestamptz
              ELSE 'epoch'::timestamptz + (key >> 20) * INTERVAL '1 millisecond' END
$$;

-- The first of a parcel's own steps from that moment on, not before its step `first`.
CREATE FUNCTION trace_start(wanted bigint, first integer, since bigint) RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT greatest(first, (SELECT step.number FROM trace_step AS step WHERE step.parcel = wanted AND step.at >= since ORDER BY step.number LIMIT 1))
$$;
-- A parcel from one of its steps on, with all that was split from it later.
CREATE FUNCTION trace_pieces(wanted bigint, begun integer) RETURNS TABLE (parcel bigint, start integer) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE pieces AS (
    SELECT wanted AS parcel, begun AS start
    UNION ALL
    SELECT piece.id, -1 FROM pieces JOIN trace_parcel AS piece ON piece.origin = pieces.parcel AND piece.origin_steps > pieces.start)
  SELECT pieces.parcel, greatest(pieces.start, 0) FROM pieces
$$;
-- A parcel and those it was split from, each with how many of its own steps count.
CREATE FUNCTION trace_line(wanted bigint) RETURNS TABLE (parcel bigint, count integer) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line AS (
    SELECT parcel.id AS parcel, parcel.steps AS count, parcel.origin, parcel.origin_steps FROM trace_parcel AS parcel WHERE parcel.id = wanted
    UNION ALL
    SELECT parcel.id, line.origin_steps, parcel.origin, parcel.origin_steps FROM line JOIN trace_parcel AS parcel ON parcel.id = line.origin)
  SELECT line.parcel, line.count FROM line
$$;

-- What the names are made of, and what they held, up to a moment each: level by level, each name once a level, by the latest moment
-- it was reached for. `depth`: transformations behind; beyond `deepest` it
-- is an end, where there is more. A null moment: not followed (a kind of goods, an end).
CREATE FUNCTION trace_reach_back(seeds integer[], moments bigint[], deepest integer)
  RETURNS TABLE (name integer, until bigint, depth integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  names integer[] := seeds;
  untils bigint[] := moments;
  depths integer[] := array_fill(0, ARRAY[cardinality(seeds)]);
  all_names integer[] := '{}';
  all_untils bigint[] := '{}';
  all_depths integer[] := '{}';
  unmade integer[] := '{}';  -- used before anything made it, somewhere on the way: a clock is wrong
  ends integer[] := '{}';
BEGIN
  WHILE cardinality(names) > 0 LOOP
    all_names := all_names || names;
    all_untils := all_untils || untils;
    all_depths := all_depths || depths;
    WITH frontier AS MATERIALIZED (SELECT * FROM unnest(names, untils, depths) AS each (name, until, depth)),
    content AS MATERIALIZED (
      SELECT frontier.name, frontier.depth, parcel.lot, parcel.runs
      FROM frontier JOIN trace_in_unit AS unit ON unit.unit = frontier.name AND unit.entered <= frontier.until
      JOIN trace_parcel AS parcel ON parcel.id = unit.parcel),
    made AS (
      SELECT made.run, min(made.depth) AS depth FROM (
        SELECT made.run, frontier.depth
        FROM frontier JOIN trace_run AS made ON made.name = frontier.name AND made.output
          -- Before it was used; or all of them if it was used before anything made it.
          AND (trace_instant_start(made.first) <= frontier.until OR frontier.name = ANY (unmade))
        UNION ALL
        SELECT content_run.run, content.depth FROM content CROSS JOIN LATERAL unnest(content.runs) AS content_run (run)) AS made
      GROUP BY made.run),
    reached AS (
      SELECT used.name, trace_instant_end(used.last) AS until, made.depth + 1 AS depth
      FROM made JOIN trace_run AS used ON used.run = made.run AND NOT used.output AND NOT used.within
      UNION ALL
      SELECT held.child, least(held.last, frontier.until), frontier.depth
      FROM frontier JOIN trace_inside AS held ON held.parent = frontier.name AND held.first <= frontier.until
      WHERE NOT EXISTS (SELECT FROM content WHERE content.name = frontier.name AND content.lot = held.child)
      UNION ALL
      SELECT same.other, frontier.until, frontier.depth FROM frontier JOIN trace_same AS same ON same.name = frontier.name
      WHERE frontier.until IS NOT NULL),
    once AS MATERIALIZED (SELECT reached.name, max(reached.until) AS until, min(reached.until) AS earliest, min(reached.depth) AS depth FROM reached GROUP BY reached.name),
    fresh AS (
      SELECT once.name, CASE WHEN NOT known.is_class THEN once.until END AS until, once.earliest, once.depth
      FROM once JOIN trace_name AS known ON known.id = once.name),
    early AS MATERIALIZED (
      SELECT fresh.name FROM fresh WHERE fresh.until IS NOT NULL AND fresh.name <> ALL (unmade)
        AND fresh.earliest < trace_instant_start((SELECT made.made FROM trace_run AS made WHERE made.name = fresh.name AND made.output LIMIT 1))),
    later AS (
      SELECT fresh.name, greatest(fresh.until, known.until) AS until, fresh.depth FROM fresh LEFT JOIN (
        SELECT known.name, max(known.until) AS until FROM unnest(all_names, all_untils) AS known (name, until) GROUP BY known.name) AS known
        ON known.name = fresh.name
      WHERE known.name IS NULL OR known.until < fresh.until OR fresh.name IN (SELECT early.name FROM early))
    SELECT coalesce(array_agg(later.name) FILTER (WHERE later.depth <= deepest), '{}'),
           coalesce(array_agg(later.until) FILTER (WHERE later.depth <= deepest), '{}'),
           coalesce(array_agg(later.depth) FILTER (WHERE later.depth <= deepest), '{}'),
           ends || coalesce(array_agg(later.name) FILTER (WHERE later.depth > deepest), '{}'),
           unmade || ARRAY(SELECT early.name FROM early)
    INTO names, untils, depths, ends, unmade FROM later;
  END LOOP;
  RETURN QUERY SELECT known.name, max(known.until), min(known.depth) FROM unnest(all_names, all_untils, all_depths) AS known (name, until, depth)
               GROUP BY known.name;
  RETURN QUERY SELECT DISTINCT beyond.name, NULL::bigint, deepest + 1 FROM unnest(ends) AS beyond (name);
END
$$;

-- What the names became, and what they held, from a moment on each.
CREATE FUNCTION trace_reach_forward(seeds integer[], moments bigint[], deepest integer)
  RETURNS TABLE (name integer, since bigint, depth integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
  names integer[] := seeds;
  sinces bigint[] := moments;
  depths integer[] := array_fill(0, ARRAY[cardinality(seeds)]);
  all_names integer[] := '{}';
  all_sinces bigint[] := '{}';
  all_depths integer[] := '{}';
  ends integer[] := '{}';
BEGIN
  WHILE cardinality(names) > 0 LOOP
    all_names := all_names || names;
    all_sinces := all_sinces || sinces;
    all_depths := all_depths || depths;
    WITH frontier AS MATERIALIZED (SELECT * FROM unnest(names, sinces, depths) AS each (name, since, depth)),
    content AS MATERIALIZED (
      SELECT frontier.name, frontier.depth, parcel.lot, parcel.id AS parcel, trace_start(parcel.id, unit.first, frontier.since) AS start
      FROM frontier JOIN trace_in_unit AS unit ON unit.unit = frontier.name AND unit.latest >= frontier.since
      JOIN trace_parcel AS parcel ON parcel.id = unit.parcel),
    piece AS MATERIALIZED (
      SELECT content.depth, pieces.parcel, pieces.start FROM content CROSS JOIN LATERAL trace_pieces(content.parcel, content.start) AS pieces),
    used AS (
      SELECT used.run, min(used.depth) AS depth FROM (
        SELECT used.run, frontier.depth
        FROM frontier JOIN trace_run AS used ON used.name = frontier.name AND NOT used.output
          AND (trace_instant_end(used.last) >= frontier.since OR trace_instant_end(used.last) < trace_instant_start(used.made))
          AND frontier.since IS NOT NULL
          UNION ALL
        SELECT parcel.became, piece.depth
        FROM piece JOIN trace_parcel AS parcel ON parcel.id = piece.parcel AND parcel.became IS NOT NULL AND piece.start < parcel.steps) AS used
      GROUP BY used.run),
    reached AS (
      SELECT made.name, trace_instant_start(made.first) AS since, used.depth + 1 AS depth
      FROM used JOIN trace_run AS made ON made.run = used.run AND made.output
      UNION ALL
      SELECT held.child, greatest(held.first, frontier.since), frontier.depth
      FROM frontier JOIN trace_inside AS held ON held.parent = frontier.name AND held.last >= frontier.since
      WHERE NOT EXISTS (SELECT FROM content WHERE content.name = frontier.name AND content.lot = held.child)
      UNION ALL
      SELECT same.other, frontier.since, frontier.depth FROM frontier JOIN trace_same AS same ON same.name = frontier.name
      WHERE frontier.since IS NOT NULL),
    once AS MATERIALIZED (SELECT reached.name, min(reached.since) AS since, min(reached.depth) AS depth FROM reached GROUP BY reached.name),
    fresh AS (
      SELECT once.name, CASE WHEN NOT known.is_class THEN once.since END AS since, once.depth
      FROM once JOIN trace_name AS known ON known.id = once.name),
    sooner AS (
      SELECT fresh.* FROM fresh LEFT JOIN (
        SELECT known.name, min(known.since) AS since FROM unnest(all_names, all_sinces) AS known (name, since) GROUP BY known.name) AS known
        ON known.name = fresh.name
      WHERE known.name IS NULL OR known.since > fresh.since)
    SELECT coalesce(array_agg(sooner.name) FILTER (WHERE sooner.depth <= deepest), '{}'),
           coalesce(array_agg(sooner.since) FILTER (WHERE sooner.depth <= deepest), '{}'),
           coalesce(array_agg(sooner.depth) FILTER (WHERE sooner.depth <= deepest), '{}'),
           ends || coalesce(array_agg(sooner.name) FILTER (WHERE sooner.depth > deepest), '{}')
    INTO names, sinces, depths, ends FROM sooner;
  END LOOP;
  RETURN QUERY SELECT known.name, min(known.since), min(known.depth) FROM unnest(all_names, all_sinces, all_depths) AS known (name, since, depth)
               GROUP BY known.name;
  RETURN QUERY SELECT DISTINCT beyond.name, NULL::bigint, deepest + 1 FROM unnest(ends) AS beyond (name);
END
$$;

-- All that a trace of these names reaches, in one of the directions or both: `what` is `name` (followed, from `first` to `last`),
-- `class` (a kind of goods, not followed), `held` (held what was reached, meanwhile), `part` (a lot of which some goods only were
-- reached), `end` (there is more beyond it), `event` (id, at).
CREATE FUNCTION trace_reached(seeds integer[], untils bigint[], sinces bigint[], deepest integer)
  RETURNS TABLE (what text, id bigint, first bigint, last bigint, depth integer)
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
BEGIN
  IF untils IS NOT NULL THEN
    SELECT array_agg(found.name), array_agg(found.until), array_agg(found.depth) INTO back, back_untils, back_depths
    FROM trace_reach_back(seeds, untils, deepest) AS found;
  END IF;
  IF sinces IS NOT NULL THEN
    SELECT array_agg(found.name), array_agg(found.since), array_agg(found.depth) INTO ahead, ahead_sinces, ahead_depths
    FROM trace_reach_forward(seeds, sinces, deepest) AS found;
  END IF;
  RETURN QUERY
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
      WHERE NOT reached.ahead
      UNION ALL
      SELECT pieces.parcel, pieces.start, coalesce(step.at, ever), ever, reached.depth, true
      FROM reached JOIN trace_in_unit AS unit ON unit.unit = reached.name AND unit.latest >= reached.first
      CROSS JOIN LATERAL trace_pieces(unit.parcel, trace_start(unit.parcel, unit.first, reached.first)) AS pieces
      LEFT JOIN trace_step AS step ON step.parcel = pieces.parcel AND step.number = pieces.start
      WHERE reached.ahead),
    held AS (
      SELECT inside.parent AS unit, greatest(inside.first, reached.first) AS first, least(inside.last, reached.last) AS last
      FROM reached JOIN trace_inside AS inside ON inside.child = reached.name AND inside.first <= reached.last AND inside.last >= reached.first
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
    SELECT 'name', reached.name::bigint, reached.first, reached.last, reached.depth FROM reached
    UNION ALL
    SELECT DISTINCT 'class', met.name::bigint, NULL::bigint, NULL::bigint, NULL::integer FROM met WHERE met.last IS NULL AND met.depth <= deepest
    UNION ALL
    SELECT DISTINCT 'end', met.name::bigint, NULL::bigint, NULL::bigint, NULL::integer FROM met WHERE met.depth > deepest
    UNION ALL
    SELECT 'held', held.unit::bigint, held.first, held.last, NULL FROM held
    UNION ALL
    SELECT 'part', goods.lot::bigint, min(parcel.first), max(parcel.last), min(parcel.depth)
    FROM parcel JOIN trace_parcel AS goods ON goods.id = parcel.parcel GROUP BY goods.lot
    UNION ALL
    SELECT 'event', found.event, min(found.at), NULL, NULL FROM (
      SELECT named.event, named.at FROM reached JOIN trace_named AS named ON named.name = reached.name
      UNION ALL
      SELECT named.event, named.at FROM held JOIN trace_named AS named ON named.name = held.unit AND named.at BETWEEN held.first AND held.last
      UNION ALL
      SELECT step.event, step.at FROM step) AS found
    GROUP BY found.event;
END
$$;

-- For whoever must reach everything, whoever may see it (recalls): what was made of these names, or held with them, from a moment on
-- each (null: from the beginning). `kind`: `goods` reached as such, `part` of a lot whose goods were in a unit that was reached,
-- `holder` around them at the time; `at`: since when. Nobody's eyes are minded: not for the API's own role.
CREATE FUNCTION trace_forward(seeds text[], since timestamptz[])
  RETURNS TABLE (identifier text, kind text, at timestamptz, depth integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH seed AS (
    SELECT array_agg(known.id) AS ids, array_agg(coalesce(trace_key(asked.since), -9223372036854775808)) AS sinces
    FROM unnest(seeds, since) AS asked (name, since) JOIN trace_name AS known ON known.name = asked.name)
  SELECT known.name, CASE reached.what WHEN 'name' THEN 'goods' WHEN 'part' THEN 'part' ELSE 'holder' END,
         CASE WHEN min(reached.first) > -9223372036854775808 THEN trace_moment(min(reached.first)) ELSE '-infinity' END, min(reached.depth)
  FROM seed CROSS JOIN LATERAL trace_reached(seed.ids, NULL, seed.sinces, 1000) AS reached
  JOIN trace_name AS known ON known.id = reached.id
  WHERE seed.ids IS NOT NULL AND reached.what IN ('name', 'part', 'held')
  GROUP BY 1, 2
$$;
-- The mirror image: what they were made of, up to a moment each (null: ever). `at`: until when it concerned them.
CREATE FUNCTION trace_back(seeds text[], until timestamptz[])
  RETURNS TABLE (identifier text, kind text, at timestamptz, depth integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH seed AS (
    SELECT array_agg(known.id) AS ids, array_agg(coalesce(trace_key(asked.until) + 1048575, 9223372036854775807)) AS untils
    FROM unnest(seeds, until) AS asked (name, until) JOIN trace_name AS known ON known.name = asked.name)
  SELECT known.name, CASE reached.what WHEN 'name' THEN 'goods' WHEN 'part' THEN 'part' ELSE 'holder' END,
         trace_moment(max(reached.last)), min(reached.depth)
  FROM seed CROSS JOIN LATERAL trace_reached(seed.ids, seed.untils, NULL, 1000) AS reached
  JOIN trace_name AS known ON known.id = reached.id
  WHERE seed.ids IS NOT NULL AND reached.what IN ('name', 'part', 'held')
  GROUP BY 1, 2
$$;

-- For who asks ---------------------------------------------------------------------------------------------------------------------

-- Whether something was recorded of one of these, or of a run of these events, that is not in the index: sequenced since, or set
-- aside.
CREATE FUNCTION trace_is_behind(names integer[], events bigint[]) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH later AS MATERIALIZED (
    SELECT leaf.event FROM leaf WHERE leaf.event IS NOT NULL
      AND leaf.position > coalesce((SELECT projection.position FROM projection WHERE projection.name = 'portions'), 0)
    LIMIT 1000),
  missing AS MATERIALIZED (
    SELECT later.event FROM later
    UNION
    SELECT leaf.event FROM set_aside JOIN leaf ON leaf.position = set_aside.position WHERE set_aside.part IN ('event', 'presence'))
  SELECT (SELECT count(*) FROM later) = 1000 OR EXISTS (
    SELECT FROM missing JOIN event_mention AS mention ON mention.event = missing.event JOIN trace_name AS known ON known.name = mention.identifier
    WHERE known.id = ANY (names))
  OR EXISTS (
    SELECT FROM missing JOIN event_mention AS mention ON mention.event = missing.event AND mention.role = 'run'
    JOIN event_mention AS open ON open.identifier = mention.identifier AND open.role = 'run'
    WHERE open.event = ANY (events))
$$;

-- `shown_events` for many at once: each way to see an event is looked up for all of them.
CREATE FUNCTION trace_shown(events bigint[]) RETURNS TABLE (event bigint, why text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH asked AS MATERIALIZED (
    SELECT event.id, event.organisation, organisation.publishes
    FROM event JOIN organisation ON organisation.id = event.organisation WHERE event.id = ANY (events)),
  other AS MATERIALIZED (SELECT array_agg(asked.id) AS ids FROM asked WHERE asked.organisation IS DISTINCT FROM current_organisation()),
  party AS MATERIALIZED (
    SELECT DISTINCT party.event FROM other JOIN event_party AS party ON party.event = ANY (other.ids)
    WHERE party.organisation IN (current_organisation(), (SELECT own.party FROM organisation AS own WHERE own.id = current_organisation()))
      AND party.part <> 'capture'),
  given AS MATERIALIZED (
    SELECT each.event FROM other CROSS JOIN LATERAL unnest(other.ids) AS each (event)
    CROSS JOIN LATERAL (SELECT FROM lot_grant_event AS given WHERE given.organisation = current_organisation() AND given.event = each.event LIMIT 1) AS given),
  official AS MATERIALIZED (SELECT official_covers(events) AS event WHERE EXISTS (SELECT FROM asker_scope()))
  SELECT found.id, found.why FROM (
    SELECT asked.id, CASE
      WHEN asked.organisation = current_organisation() THEN 'own'
      WHEN asked.id IN (SELECT party.event FROM party) THEN 'party'
      WHEN asked.id IN (SELECT given.event FROM given) THEN 'granted'
      WHEN asked.id IN (SELECT official.event FROM official) THEN 'official'
      WHEN asked.publishes THEN 'published' END AS why
    FROM asked) AS found
  WHERE found.why IS NOT NULL
$$;


-- A published event as it is shown: without what is in it for the replay alone.
CREATE FUNCTION trace_published(wanted bigint) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT (published.body - ARRAY['bizTransactionList', 'sourceList', 'destinationList', 'suyuan:withheld']
          - ARRAY(SELECT jsonb_array_elements_text(coalesce(published.body -> 'suyuan:withheld', '[]'))))::text
  FROM published_event AS published WHERE published.id = wanted
$$;

-- Between these names, by these events: an input and an output of a run once, at the first event by which both are told; a device
-- beside the name that it sat on. `places`: of the event in `events`, from 1. In the order of the events; one array each, since rows
-- of text would cost more than finding them. (Each list is read once and joined by hash, not row by row.)
CREATE FUNCTION trace_edges(events bigint[], names integer[])
  RETURNS TABLE (sources integer[], targets integer[], kinds text[], places integer[], quantities float8[], uoms text[], shares float8[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET enable_nestloop = off SET jit = off AS $$
  WITH own AS MATERIALIZED (SELECT each.name FROM unnest(names) AS each (name)),
  told AS MATERIALIZED (SELECT each.id, each.place::integer FROM unnest(events) WITH ORDINALITY AS each (id, place)),
  run AS MATERIALIZED (
    SELECT said.run, said.at, told.place FROM told JOIN trace_run_event AS said ON said.event = told.id
    WHERE said.run = ANY (ARRAY(SELECT made.run FROM trace_run AS made WHERE made.name = ANY (names) AND made.output))),
  side AS MATERIALIZED (
    SELECT side.run, side.output, side.name, side.first, side.quantity, side.uom, side.share
    FROM own JOIN trace_run AS side ON side.name = own.name AND NOT side.within WHERE side.run = ANY (ARRAY(SELECT DISTINCT run.run FROM run))),
  made AS (
    SELECT DISTINCT ON (used.run, used.name, made.name) used.name AS source, made.name AS target, run.place, used.quantity, used.uom, used.share
    FROM run JOIN side AS made ON made.run = run.run AND made.output AND made.first <= run.at
    JOIN side AS used ON used.run = run.run AND NOT used.output AND used.first <= run.at
    ORDER BY used.run, used.name, made.name, run.at),
  edge (source, target, kind, place, quantity, uom, share) AS (
    SELECT made.source, made.target, 'transformed', made.place, made.quantity, made.uom, made.share FROM made
    UNION ALL
    SELECT CASE WHEN move.kind IN ('unpacked', 'unloaded') THEN move.parent ELSE move.child END,
           CASE WHEN move.kind IN ('unpacked', 'unloaded') THEN move.child ELSE move.parent END,
           move.kind, told.place, move.quantity, move.uom, NULL
    FROM trace_move AS move JOIN told ON told.id = move.event
    JOIN own ON own.name = move.parent LEFT JOIN own AS child ON child.name = move.child
    WHERE move.event = ANY (events) AND (move.kind IN ('installed', 'removed') OR child.name IS NOT NULL))
  SELECT array_agg(edge.source), array_agg(edge.target), array_agg(edge.kind), array_agg(edge.place), array_agg(edge.quantity),
         array_agg(edge.uom), array_agg(edge.share)
  FROM (SELECT * FROM edge ORDER BY edge.place, edge.source, edge.target) AS edge
$$;

-- A trace for who may see all of it. `state`: `whole`; or, with nothing else, `unknown` (nothing in the index is named so), `behind`
-- (something was recorded of it that is not in the index yet), `hidden` (some of it is not the asker's to see: what links the rest
-- may not be told, so the rest is found by walking what may). Everything else is columns of the document's lists
-- (`trace_api.indexed`): of the events, in any order, `ranks` from 1 in the order of time, and their texts with the byte 1E between
-- them; of the names, `schemes` is null for a device that an edge alone names; of the edges as `trace_edges` has them; of what held
-- what, keys of moments. `portions`: as JSON, those of `ledger.genealogy.tracked`; `places`: named by the events; `ends`: where the
-- depth cut it off; `cut`: there are more than `most` events.
CREATE FUNCTION trace_of_asker(seed text, direction text, deepest integer, most integer)
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
  whats text[];
  ids bigint[];
  firsts bigint[];
  own integer[];
  seen bigint[];
  seen_at bigint[];
  seen_why text[];
  found bigint[];
BEGIN
  state := CASE WHEN cardinality(seeds) = 0 THEN 'unknown' ELSE 'whole' END;
  IF state = 'whole' THEN
    SELECT array_agg(reached.what), array_agg(reached.id), array_agg(reached.first) INTO whats, ids, firsts
    FROM trace_reached(seeds, CASE WHEN direction IN ('back', 'both') THEN ARRAY[9223372036854775807] END,
                       CASE WHEN direction IN ('forward', 'both') THEN ARRAY[-9223372036854775808] END, deepest) AS reached;
    own := ARRAY(SELECT DISTINCT each.id::integer FROM unnest(whats, ids) AS each (what, id) WHERE each.what IN ('name', 'class', 'held', 'part'));
    SELECT coalesce(array_agg(each.id), '{}'), coalesce(array_agg(each.first), '{}') INTO seen, seen_at
    FROM (SELECT each.id, each.first FROM unnest(whats, ids, firsts) AS each (what, id, first) WHERE each.what = 'event'
          ORDER BY each.first, each.id) AS each;
    seen_why := ARRAY(SELECT shown.why FROM unnest(seen) WITH ORDINALITY AS each (event, place) JOIN trace_shown(seen) AS shown ON shown.event = each.event
                      ORDER BY each.place);
    state := CASE WHEN trace_is_behind(own, seen) THEN 'behind' WHEN cardinality(seen_why) < cardinality(seen) THEN 'hidden' ELSE 'whole' END;
  END IF;
  IF state <> 'whole' THEN
    RETURN NEXT;
    RETURN;
  END IF;
  cut := cardinality(seen) > most;
  found := seen[:most];
  SELECT string_agg(CASE WHEN told.why = 'published' THEN convert_to(trace_published(told.event), 'UTF8') ELSE event_bytes.bytes END, '\x1e'),
         array_agg(told.place), array_agg(leaf.position), array_agg(event.organisation), array_agg(told.why), array_agg(event.event_id),
         array_agg(told.at)
  INTO events, ranks, positions, organisations, whys, event_ids, moments
  FROM unnest(found, seen_at[:most], seen_why[:most]) WITH ORDINALITY AS told (event, at, why, place)
  JOIN event ON event.id = told.event JOIN leaf ON leaf.event = told.event JOIN event_bytes ON event_bytes.event = told.event;
  SELECT * INTO sources, targets, kinds, told_by, quantities, uoms, shares FROM trace_edges(found, own);
  SELECT array_agg(known.id), array_agg(known.name), array_agg(known.scheme) INTO names, identifiers, schemes
  FROM (SELECT known.id, known.name, CASE WHEN known.id IN (SELECT mine.id FROM unnest(own) AS mine (id)) THEN known.scheme END AS scheme
        FROM (SELECT each.id FROM unnest(own) AS each (id)
              UNION SELECT edge.source FROM unnest(sources, kinds) AS edge (source, kind) WHERE edge.kind IN ('installed', 'removed')) AS wanted
        JOIN trace_name AS known ON known.id = wanted.id
        ORDER BY known.id) AS known;
  WITH own AS MATERIALIZED (SELECT each.id FROM unnest(own) AS each (id)),
  shown AS MATERIALIZED (SELECT each.event FROM unnest(seen) AS each (event)),
  inside AS MATERIALIZED (
    SELECT inside.*, inside.event IN (SELECT shown.event FROM shown) AS is_shown  -- looked up by hash; a join could go through it row by row
    FROM trace_inside AS inside
    WHERE inside.child = ANY (ARRAY(SELECT own.id FROM own)) AND inside.parent IN (SELECT own.id FROM own))
  SELECT array_agg(inside.parent), array_agg(inside.child), array_agg(inside.first), array_agg(inside.last) INTO holders, held, starts, lasts
  FROM (SELECT * FROM inside
        -- Between two names of the trace there may be more than its events tell.
        WHERE inside.is_shown
           OR inside.event IN (SELECT shown.event FROM trace_shown(ARRAY(SELECT other.event FROM inside AS other WHERE NOT other.is_shown)) AS shown)
        ORDER BY inside.first, inside.child, inside.parent) AS inside;
  SELECT string_agg(portion.body, ',' ORDER BY lot.name, portion.place) INTO portions
  FROM trace_portion AS portion JOIN trace_name AS lot ON lot.id = portion.lot
  WHERE portion.lot = ANY (seeds) OR NOT EXISTS (SELECT FROM trace_portion AS own WHERE own.lot = ANY (seeds))
    AND portion.parcel IN (SELECT unit.parcel FROM trace_in_unit AS unit WHERE unit.unit = ANY (seeds));
  places := ARRAY(SELECT DISTINCT mention.identifier FROM event_mention AS mention
                  WHERE mention.event = ANY (found) AND mention.role IN ('read_point', 'biz_location'));
  ends := ARRAY(SELECT known.name FROM unnest(whats, ids) AS each (what, id) JOIN trace_name AS known ON known.id = each.id
                WHERE each.what = 'end' ORDER BY known.id);
  RETURN NEXT;
END
$$;

-- What an erased event named and no event names any more, under the name that stands there now; what rests on the event is made again.
-- Two that fell together stay two rows, of which the later one is nobody's.
CREATE FUNCTION trace_erase(wanted bigint, named text[], instead text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  gone record;
BEGIN
  FOR gone IN SELECT known.id, known.name FROM trace_name AS known
              WHERE known.name = ANY (named) AND NOT EXISTS (SELECT FROM event_mention AS mention WHERE mention.identifier = known.name) LOOP
    UPDATE trace_name SET name = instead || CASE WHEN EXISTS (SELECT FROM trace_name AS taken WHERE taken.name = instead) THEN '#' || gone.id ELSE '' END,
                          scheme = 'uri' WHERE id = gone.id;
    DELETE FROM trace_portion WHERE position(to_json(gone.name)::text IN body) > 0;
  END LOOP;
  INSERT INTO registry_change (kind, identifier, at)
  SELECT DISTINCT 'lot', mention.identifier, now() FROM event_mention AS mention
  WHERE mention.event = wanted AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output');
END
$$;

REVOKE EXECUTE ON FUNCTION trace_forward, trace_back, trace_reached, trace_reach_back, trace_reach_forward, trace_start, trace_pieces,
  trace_line, trace_is_behind, trace_shown, trace_edges, trace_published, trace_of_asker, trace_erase FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trace_forward, trace_back TO suyuan_jobs;
GRANT EXECUTE ON FUNCTION trace_of_asker TO suyuan_api;
GRANT EXECUTE ON FUNCTION trace_erase TO suyuan_eraser;

-- What was projected before has no rows here yet: it is followed once more, to the same.
DELETE FROM projection WHERE name = 'portions';
