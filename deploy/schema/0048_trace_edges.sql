-- A link of a trace is written as its document has it when the events are followed, and passed on as it is: to put two names, an event
-- and its time together for each of some thousands took as long as to find them. And an event that is granted behind a hundred lots is
-- looked up once.

-- From one name to another, as the first event of a run tells it, or what moved or installed something. `beside`: the source is a device,
-- which is of no trace itself. `told`: JSON (`ledger.genealogy.told`). It holds what trace_move did.
CREATE TABLE trace_edge (
  event  bigint  NOT NULL,
  source integer NOT NULL,
  target integer NOT NULL,
  beside boolean NOT NULL,
  told   text    NOT NULL,
  PRIMARY KEY (event, source, target)
);
ALTER TABLE trace_edge ENABLE ROW LEVEL SECURITY;
CREATE POLICY work ON trace_edge TO suyuan_jobs USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON trace_edge TO suyuan_jobs;

-- Each event of `lot_grant_event` once for an organisation, kept by its triggers.
CREATE TABLE granted_event (
  organisation text   NOT NULL REFERENCES organisation,
  event        bigint NOT NULL REFERENCES event,
  PRIMARY KEY (organisation, event)
);
ALTER TABLE granted_event ENABLE ROW LEVEL SECURITY;
INSERT INTO granted_event SELECT DISTINCT organisation, event FROM lot_grant_event;

CREATE FUNCTION keep_granted_event() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO granted_event SELECT DISTINCT changed.organisation, changed.event FROM changed ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM granted_event AS given USING (SELECT DISTINCT changed.organisation, changed.event FROM changed) AS gone
    WHERE given.organisation = gone.organisation AND given.event = gone.event
      AND NOT EXISTS (SELECT FROM lot_grant_event AS other WHERE other.organisation = gone.organisation AND other.event = gone.event);
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER given_events AFTER INSERT ON lot_grant_event REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION keep_granted_event();
CREATE TRIGGER taken_events AFTER DELETE ON lot_grant_event REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION keep_granted_event();

CREATE INDEX event_mention_place ON event_mention (event) INCLUDE (identifier) WHERE role IN ('read_point', 'biz_location');

-- Why the asker may see each of these events, as before (0039).
CREATE OR REPLACE FUNCTION trace_whys(events bigint[], organisations text[]) RETURNS text[]
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
  given := ARRAY(SELECT given.event FROM granted_event AS given WHERE given.organisation = own AND given.event = ANY (others));
  IF current_account() IS NOT NULL AND EXISTS (SELECT FROM asker_scope()) THEN
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

-- Of each of these events, in their order, its links between these names, as JSON with commas between them; null where there are none.
-- `opened`: runs that are told by several events, of which `trace_open_edges` tells. (In the order of the index, which a join would lose.)
DROP FUNCTION trace_edges;
CREATE FUNCTION trace_edges(events bigint[], names integer[], opened bigint[]) RETURNS text[]
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET jit = off AS $$
  SELECT array_agg(edge.told ORDER BY asked.event)
  FROM unnest(events) AS asked (event) LEFT JOIN (
    SELECT edge.event, string_agg(edge.told, ',' ORDER BY edge.source, edge.target) AS told
    FROM trace_edge AS edge
    WHERE edge.event = ANY (events) AND (edge.beside OR edge.source IN (SELECT unnest(names))) IS TRUE AND (edge.target IN (SELECT unnest(names))) IS TRUE
      AND (edge.event = ANY (opened)) IS NOT TRUE
    GROUP BY edge.event) AS edge ON edge.event = asked.event
$$;

-- Of runs that are told by several events: an input and an output once, at the first event by which both are told. `places`: of the
-- event in `events`, from 1. One array each, in the order of the events.
CREATE FUNCTION trace_open_edges(events bigint[], names integer[], opened bigint[])
  RETURNS TABLE (sources integer[], targets integer[], places integer[], quantities float8[], uoms text[], shares float8[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET enable_nestloop = off SET jit = off AS $$
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
  FROM (SELECT * FROM made ORDER BY made.place, made.source, made.target) AS made
$$;

-- As before (0041), but `edges` are the links that each event tells, in the order of the events' numbers; and those of runs that are
-- told by several events stand in the columns beside them.
DROP FUNCTION trace_of_asker;
CREATE FUNCTION trace_of_asker(seed text, direction text, deepest integer, most integer)
  RETURNS TABLE (
    state text, events bytea, ranks integer[], positions bigint[], organisations text[], whys text[], event_ids text[], moments bigint[],
    names integer[], identifiers text[], schemes text[],
    edges text[], sources integer[], targets integer[], told_by integer[], quantities float8[], uoms text[], shares float8[],
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
  -- Runs of which an event that is not their first is told here.
  opened bigint[];
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
  opened := ARRAY(SELECT DISTINCT said.run FROM trace_run_event AS said WHERE said.event = ANY (found) AND said.event <> said.run);
  edges := trace_edges(told, own, opened);
  IF opened <> '{}' THEN
    SELECT * INTO sources, targets, told_by, quantities, uoms, shares FROM trace_open_edges(found, own, opened);
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
                  WHERE mention.event = ANY (found) AND mention.role IN ('read_point', 'biz_location'));
  ends := ARRAY(SELECT known.name FROM trace_name AS known WHERE known.id = ANY (beyond) ORDER BY known.name COLLATE "C");
  RETURN NEXT;
END
$$;

-- What an erased event named, as before (0032); a link that was written with the name has the one that stands there now.
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
    UPDATE trace_edge SET told = replace(told, to_json(gone.name)::text, to_json(known_as)::text)
    WHERE event IN (SELECT named.event FROM trace_named AS named WHERE named.name = gone.id) AND gone.id IN (source, target);
  END LOOP;
  INSERT INTO registry_change (kind, identifier, at)
  SELECT DISTINCT 'lot', mention.identifier, now() FROM event_mention AS mention
  WHERE mention.event = wanted AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output');
END
$$;

DROP TABLE trace_move;

REVOKE EXECUTE ON FUNCTION keep_granted_event, trace_edges, trace_open_edges, trace_of_asker FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trace_of_asker TO suyuan_api;

-- What was followed before has no links here yet: it is followed once more, to the same.
DELETE FROM projection WHERE name = 'portions';
