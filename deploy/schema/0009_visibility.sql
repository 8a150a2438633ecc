-- Who may see what of whose record, beyond one's own and what is published: who took goods in sees the chain behind them, an
-- official what concerns their area and department. Projections of events, but for the functions and views: dropped and rebuilt at will.

-- `organisation` took goods of `lot` in by `event`, handed over by those who had them. `depth`: how many transformations back
-- it reaches; null: the whole chain behind. A claim that nobody's record supports has no row.
CREATE TABLE lot_grant (
  organisation text NOT NULL REFERENCES organisation,
  lot          text NOT NULL,
  depth        integer CHECK (depth >= 0),
  since        timestamptz NOT NULL,        -- when it took them in
  event        bigint NOT NULL REFERENCES event,
  PRIMARY KEY (lot, organisation, event)
);

-- What a grant shows: the events behind the goods, up to the hand-over and without what became of other portions.
CREATE TABLE lot_grant_event (
  organisation text NOT NULL REFERENCES organisation,
  lot          text NOT NULL,
  event        bigint NOT NULL REFERENCES event,
  said_by      text NOT NULL,
  PRIMARY KEY (organisation, event, lot)
);
CREATE INDEX lot_grant_event_lot ON lot_grant_event (lot);
CREATE INDEX lot_grant_event_said_by ON lot_grant_event (organisation, said_by);

-- Where those goods were meanwhile, cut where who had them said something: the only spans of time of another's leg that may be
-- asked about.
CREATE TABLE lot_grant_stay (
  organisation text NOT NULL REFERENCES organisation,
  lot          text NOT NULL,
  holder       text NOT NULL,
  valid        tstzrange NOT NULL CHECK (NOT isempty(valid)),
  PRIMARY KEY (organisation, holder, valid, lot)
);
CREATE INDEX lot_grant_stay_lot ON lot_grant_stay (lot);

-- What a lot is made of, itself included, and where that was made or harvested; null where it was mixed from others, or where
-- nobody recorded it.
CREATE TABLE lot_origin (
  lot    text NOT NULL,
  source text NOT NULL,
  place  text,
  UNIQUE NULLS NOT DISTINCT (lot, source, place)
);
CREATE INDEX lot_origin_source ON lot_origin (source);

-- What counts of what an event says about recalls and holds, for one portion of a lot (a digest of its name): by who may set a
-- mark and who may lift it. `known_as`: digests of what else it may go by to who sees less of it. `speaks`: its plain disposition
-- counts too. What counts for nothing has a row as well.
CREATE TABLE lot_mark (
  lot         text NOT NULL,
  portion     text NOT NULL,
  known_as    text[] NOT NULL,
  event       bigint NOT NULL REFERENCES event,
  set_marks   text[] NOT NULL,
  unset_marks text[] NOT NULL,
  speaks      boolean NOT NULL,
  PRIMARY KEY (event, lot, portion)
);
CREATE INDEX lot_mark_lot ON lot_mark (lot);

CREATE INDEX event_party_organisation ON event_party (organisation, event);

DO $policies$
DECLARE
  narrow text;
BEGIN
  FOREACH narrow IN ARRAY ARRAY['lot_grant', 'lot_grant_event', 'lot_grant_stay'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', narrow);
    EXECUTE format('CREATE POLICY own ON %I TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation())', narrow);
    EXECUTE format('CREATE POLICY work ON %I TO suyuan_jobs USING (true) WITH CHECK (true)', narrow);
  END LOOP;
END
$policies$;
GRANT SELECT, INSERT, DELETE ON lot_grant, lot_grant_event, lot_grant_stay, lot_origin, lot_mark TO suyuan_jobs;
GRANT SELECT ON lot_grant TO suyuan_api;

-- Hand-overs rest on whose a party and a place is: registered later, they count as if they had been there.
ALTER TABLE registry_change DROP CONSTRAINT registry_change_kind_check;
ALTER TABLE registry_change ADD CONSTRAINT registry_change_kind_check
  CHECK (kind IN ('device', 'product', 'lot', 'limit', 'organisation', 'place'));
CREATE FUNCTION note_registered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO registry_change (kind, identifier)
  SELECT TG_TABLE_NAME, to_jsonb(NEW) ->> TG_ARGV[0];
  RETURN NULL;
END
$$;
CREATE TRIGGER registered AFTER INSERT ON organisation FOR EACH ROW EXECUTE FUNCTION note_registered('party');
CREATE TRIGGER changed AFTER UPDATE ON organisation FOR EACH ROW WHEN (OLD.party <> NEW.party) EXECUTE FUNCTION note_registered('party');
-- A market's word counts for more: whatever happened at its places is looked at again.
CREATE FUNCTION note_other_kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO registry_change (kind, identifier) SELECT 'place', place.id FROM place WHERE place.organisation = NEW.id;
  RETURN NULL;
END
$$;
CREATE TRIGGER other_kind AFTER UPDATE ON organisation FOR EACH ROW
  WHEN ((OLD.kind = 'market') <> (NEW.kind = 'market')) EXECUTE FUNCTION note_other_kind();
CREATE TRIGGER registered AFTER INSERT ON place FOR EACH ROW EXECUTE FUNCTION note_registered('id');
CREATE TRIGGER changed AFTER UPDATE ON place FOR EACH ROW WHEN (OLD.organisation <> NEW.organisation) EXECUTE FUNCTION note_registered('id');

-- Officials --------------------------------------------------------------------------------------------------------------

-- GB/T 2260 by validity: a code can name another area than it did. What is verified was compared with the standard.
CREATE TABLE region (
  code       text NOT NULL CHECK (code ~ '^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})$'),
  name_zh    text NOT NULL,
  name_en    text NOT NULL,
  level      text NOT NULL CHECK (level IN ('province', 'prefecture', 'county', 'town', 'village')),
  valid      daterange NOT NULL CHECK (NOT isempty(valid)),
  valid_from date NOT NULL GENERATED ALWAYS AS (coalesce(lower(valid), '-infinity')) STORED,
  successor  text,                          -- the code that took its place, where most of it went
  source     text NOT NULL,
  verified   boolean NOT NULL,
  PRIMARY KEY (code, valid_from)
);
CREATE INDEX region_gone ON region (code) WHERE successor IS NOT NULL;
GRANT SELECT ON region TO suyuan_api;
GRANT SELECT, INSERT, DELETE ON region TO suyuan_ingest;

-- Where a code went whose area has another code now: prefixes are compared as they stand today. No service reads this view.
CREATE VIEW region_moved AS
  WITH RECURSIVE moved AS (
    SELECT region.code, region.successor AS now_code, 1 AS steps FROM region
    WHERE region.successor IS NOT NULL
      AND NOT EXISTS (SELECT FROM region AS standing WHERE standing.code = region.code AND upper_inf(standing.valid))
    UNION ALL
    SELECT moved.code, region.successor, moved.steps + 1
    FROM moved JOIN region ON region.code = moved.now_code AND region.successor IS NOT NULL
    WHERE moved.steps < 8
      AND NOT EXISTS (SELECT FROM region AS standing WHERE standing.code = region.code AND upper_inf(standing.valid))
  )
  SELECT DISTINCT ON (code) code, now_code FROM moved ORDER BY code, steps DESC;

-- Of the account that asks; no row for who is no official and no auditor. A code that was abolished, of theirs or of a place,
-- counts as the one that took its place: `regions` are theirs as they stand today, and what went into them.
CREATE FUNCTION asker_scope() RETURNS TABLE (agriculture boolean, market boolean, regions text[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'auditor' = ANY (roles) OR department = 'agriculture', 'auditor' = ANY (roles) OR department = 'market_regulation',
         ARRAY(WITH today AS (SELECT coalesce(moved.now_code || substr(own.code, 7), own.code) AS code
                              FROM unnest(regions) AS own (code) LEFT JOIN region_moved AS moved ON moved.code = left(own.code, 6))
               SELECT today.code FROM today UNION SELECT moved.code FROM region_moved AS moved JOIN today ON moved.now_code ^@ today.code)
  FROM user_account
  WHERE id = current_account() AND disabled_at IS NULL AND roles && ARRAY['official', 'auditor']
$$;

CREATE FUNCTION lies_in(region text, regions text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT region ^@ ANY (regions)
$$;

-- (Generic plans: the views ask event by event, and planning would cost more than the answer.)
-- Which of these lots (null: of all; doors and stalls of one location number are at its place) concern the official who asks, before the market and in it: their origin, a place where
-- they are or were, or who they are sent to lies in one of the official's regions, and they were at a stage of the department.
CREATE FUNCTION official_lots(among text[]) RETURNS TABLE (lot text, agriculture boolean, market boolean)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM asker_scope()) THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH scope AS MATERIALIZED (SELECT * FROM asker_scope()),
  stay AS MATERIALIZED (
    SELECT presence.lot, presence.holder, presence.valid, presence.stage IN ('arrived', 'stall', 'shelf') AS marketed
    FROM scope CROSS JOIN presence WHERE among IS NULL OR presence.lot = ANY (among)),
  near AS (   -- (lot, stage of which department); null: whichever
    SELECT stay.lot, stay.marketed FROM scope CROSS JOIN (SELECT DISTINCT lot, holder, marketed FROM stay) AS stay
    JOIN place ON place.id IN (stay.holder, split_part(stay.holder, '/254/', 1)) AND lies_in(place.region, scope.regions)
    UNION
    SELECT origin.lot, NULL FROM scope CROSS JOIN (SELECT DISTINCT lot FROM stay) AS known JOIN lot_origin AS origin USING (lot)
    JOIN place ON place.id IN (origin.place, split_part(origin.place, '/254/', 1)) AND lies_in(place.region, scope.regions)
    UNION
    SELECT named.lot, NULL
    FROM scope CROSS JOIN (SELECT lot, holder AS identifier, valid FROM stay UNION SELECT lot, lot, '(,)' FROM stay) AS named
    JOIN event_mention AS mention ON mention.identifier = named.identifier
    JOIN event_party AS party ON party.event = mention.event AND party.part = 'destination'
    JOIN event ON event.id = mention.event AND (named.valid @> event.event_time OR upper(named.valid) = event.event_time)
    -- The location that the event names, where it names one that is registered; else any place of who is named.
    WHERE CASE WHEN EXISTS (SELECT FROM event_party AS site JOIN place ON place.id IN (site.organisation, split_part(site.organisation, '/254/', 1))
                            WHERE site.event = mention.event AND site.part = 'destination')
               THEN EXISTS (SELECT FROM place WHERE place.id IN (party.organisation, split_part(party.organisation, '/254/', 1))
                            AND lies_in(place.region, scope.regions))
               ELSE EXISTS (SELECT FROM place WHERE place.organisation = party.organisation AND lies_in(place.region, scope.regions)) END)
  SELECT stay.lot, scope.agriculture AND bool_or(NOT stay.marketed AND near.marketed IS NOT TRUE),
         scope.market AND bool_or(stay.marketed AND near.marketed IS NOT FALSE)
  FROM scope CROSS JOIN (SELECT DISTINCT lot, marketed FROM stay) AS stay JOIN near USING (lot)
  GROUP BY stay.lot, scope.agriculture, scope.market
  HAVING scope.agriculture AND bool_or(NOT stay.marketed AND near.marketed IS NOT TRUE)
      OR scope.market AND bool_or(stay.marketed AND near.marketed IS NOT FALSE);
END
$$;

-- Which of these events the official who asks may see whole: those about such lots, or about what held them at the time, and
-- about what they were made of. Agriculture's end where the goods enter the market; the market's go back to the field.
CREATE FUNCTION official_covers(events bigint[]) RETURNS SETOF bigint
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM asker_scope()) THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH scope AS MATERIALIZED (SELECT * FROM asker_scope()),
  mentioned AS MATERIALIZED (
    SELECT event.id, event.event_time, mention.identifier
    FROM scope CROSS JOIN event JOIN event_mention AS mention ON mention.event = event.id
      AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output')
    WHERE event.id = ANY (events)),
  about AS (
    SELECT mentioned.id, presence.lot, bool_or(presence.stage NOT IN ('arrived', 'stall', 'shelf')
             AND (presence.valid @> mentioned.event_time OR upper(presence.valid) = mentioned.event_time)) AS before_market
    FROM mentioned JOIN presence ON presence.lot = mentioned.identifier
    GROUP BY mentioned.id, presence.lot
    UNION ALL
    SELECT mentioned.id, presence.lot, presence.stage NOT IN ('arrived', 'stall', 'shelf')
    FROM mentioned JOIN presence ON presence.holder = mentioned.identifier
      AND (presence.valid @> mentioned.event_time OR upper(presence.valid) = mentioned.event_time)),
  concerned AS (
    SELECT id, lot, before_market FROM about
    UNION SELECT about.id, origin.lot, about.before_market FROM about JOIN lot_origin AS origin ON origin.source = about.lot)
  SELECT DISTINCT concerned.id
  FROM concerned JOIN official_lots(ARRAY(SELECT DISTINCT lot FROM concerned)) AS own ON own.lot = concerned.lot
  WHERE own.market OR (own.agriculture AND concerned.before_market);
END
$$;

-- What the asker may see -------------------------------------------------------------------------------------------------

-- Events shown whole, and why. No service reads this view: the ones below do.
CREATE VIEW covered_event AS
  SELECT id AS event, 'own' AS why FROM event WHERE organisation = current_organisation()
  UNION ALL
  -- A party registered after the event stands there under its identifier.
  SELECT event, 'party' FROM event_party
  WHERE part <> 'capture' AND (organisation = current_organisation()
                               OR organisation = (SELECT party FROM organisation WHERE id = current_organisation()))
  UNION ALL
  SELECT event, 'granted' FROM lot_grant_event WHERE organisation = current_organisation()
  UNION ALL
  SELECT id, 'official' FROM event
  WHERE (SELECT count(*) FROM asker_scope()) > 0 AND EXISTS (SELECT FROM official_covers(ARRAY[event.id]));

CREATE VIEW asker_organisation WITH (security_barrier) AS
  SELECT id, name_zh, name_en, party, kind FROM organisation
  WHERE publishes OR id = current_organisation()
     OR EXISTS (SELECT FROM lot_grant_event AS given WHERE given.organisation = current_organisation() AND given.said_by = organisation.id)
     OR id IN (SELECT event.organisation FROM event_party AS party JOIN event ON event.id = party.event
               WHERE party.organisation = current_organisation() AND party.part <> 'capture')
     OR (SELECT count(*) FROM asker_scope()) > 0;
CREATE VIEW asker_place WITH (security_barrier) AS
  SELECT place.id, place.organisation, place.kind, place.name_zh, place.name_en, place.region, place.latitude, place.longitude, place.time_zone
  FROM place JOIN organisation ON organisation.id = place.organisation
  WHERE organisation.publishes OR place.organisation = current_organisation()
     -- In both, whose place it is has said so: to name a place is no way to see it.
     OR EXISTS (SELECT FROM lot_grant_stay AS stay JOIN lot_grant_event AS given USING (organisation, lot)
                WHERE stay.organisation = current_organisation() AND stay.holder = place.id AND given.said_by = place.organisation)
     OR (current_organisation() IS NOT NULL
         AND EXISTS (SELECT FROM event_mention AS mention JOIN event ON event.id = mention.event AND event.organisation = place.organisation
                     WHERE mention.identifier = place.id
                     AND (EXISTS (SELECT FROM lot_grant_event AS given WHERE given.organisation = current_organisation() AND given.event = mention.event)
                       OR EXISTS (SELECT FROM event_party AS party WHERE party.organisation = current_organisation() AND party.event = mention.event
                                  AND party.part <> 'capture'))))
     OR (SELECT lies_in(place.region, scope.regions) OR EXISTS (
           SELECT FROM official_lots(ARRAY(SELECT DISTINCT presence.lot FROM presence WHERE presence.holder = place.id)))
         FROM asker_scope() AS scope);
CREATE VIEW asker_product WITH (security_barrier) AS
  SELECT product.id, product.organisation, product.name_zh, product.name_en, product.rule_product, product.net_content_kg, product.classes
  FROM product JOIN organisation ON organisation.id = product.organisation
  WHERE organisation.publishes OR product.organisation = current_organisation()
     OR EXISTS (SELECT FROM lot_grant AS given, unnest(product.classes) AS class (uri)
                WHERE given.organisation = current_organisation()
                  AND (given.lot = uri OR starts_with(given.lot, uri || '/') OR starts_with(given.lot, uri || '.')))
     OR (SELECT count(*) FROM asker_scope()) > 0;
CREATE VIEW asker_limit AS SELECT id, version, product, stages, positions, body FROM limit_version;
CREATE VIEW asker_log WITH (security_barrier) AS
  SELECT log.organisation, log.origin FROM log WHERE log.organisation IN (SELECT id FROM asker_organisation);

-- Of a series that is neither one's own nor published one sees that it was there (`readable` false), and no reading.
CREATE VIEW asker_series WITH (security_barrier) AS
  SELECT series.id, series.uuid, series.organisation, series.channel, series.quantity, series.unit,
         device.id AS device_id, device.model, device.accuracy_c, device.interval_s,
         organisation.publishes OR series.organisation IS NOT DISTINCT FROM current_organisation() AS readable
  FROM series JOIN device ON device.id = series.device_id JOIN organisation ON organisation.id = series.organisation
  WHERE organisation.publishes OR series.organisation = current_organisation()
     OR EXISTS (SELECT FROM placement JOIN lot_grant_stay AS stay ON stay.holder = placement.parent AND stay.valid && placement.valid
                JOIN lot_grant_event AS given ON given.organisation = stay.organisation AND given.lot = stay.lot
                WHERE placement.series_id = series.id AND stay.organisation = current_organisation() AND given.said_by = series.organisation)
     OR ((SELECT count(*) FROM asker_scope()) > 0
         AND EXISTS (SELECT FROM official_lots(ARRAY(
               SELECT DISTINCT presence.lot FROM placement JOIN presence ON presence.holder = placement.parent AND presence.valid && placement.valid
               WHERE placement.series_id = series.id))));
CREATE VIEW asker_placement WITH (security_barrier) AS
  SELECT placement.series_id, placement.parent, placement.probe_position, placement.valid, placement.conflict
  FROM placement JOIN organisation ON organisation.id = placement.organisation
  WHERE organisation.publishes OR placement.organisation = current_organisation()
     OR EXISTS (SELECT FROM lot_grant_stay AS stay JOIN lot_grant_event AS given USING (organisation, lot)
                WHERE stay.organisation = current_organisation() AND stay.holder = placement.parent AND stay.valid && placement.valid
                  AND given.said_by = placement.organisation)
     OR ((SELECT count(*) FROM asker_scope()) > 0
         AND EXISTS (SELECT FROM official_lots(ARRAY(
               SELECT DISTINCT presence.lot FROM presence WHERE presence.holder = placement.parent AND presence.valid && placement.valid))));
CREATE VIEW asker_excursion WITH (security_barrier) AS
  SELECT excursion.id, excursion.organisation, excursion.series_id, excursion.limit_id, excursion.limit_version, excursion.version, excursion.state,
         excursion.merged_into, excursion.start_time, excursion.trigger_time, excursion.end_time, excursion.closed_by, excursion.extreme,
         excursion.minutes_at_least, excursion.minutes_at_most, excursion.degree_minutes, excursion.opened_at, excursion.computed_at
  FROM excursion JOIN organisation ON organisation.id = excursion.organisation
  WHERE organisation.publishes OR excursion.organisation = current_organisation();

-- Covered events whole, the others as everybody sees them. OFFSET 0: asked once an event.
CREATE VIEW asker_event WITH (security_barrier) AS
  SELECT event.id, event.organisation, event.event_id, event.is_error, event.type, event.event_time, event.biz_step,
         leaf.position, leaf.record_time, leaf.leaf_index,
         CASE WHEN covered.whole THEN convert_from(event_bytes.bytes, 'UTF8')::jsonb
              ELSE (SELECT published.body FROM published_event AS published WHERE published.id = event.id) END AS body
  FROM event JOIN organisation ON organisation.id = event.organisation
  JOIN event_bytes ON event_bytes.event = event.id JOIN leaf ON leaf.event = event.id
  CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM covered_event WHERE covered_event.event = event.id) AS whole OFFSET 0) AS covered
  WHERE covered.whole OR organisation.publishes;
CREATE VIEW asker_mention WITH (security_barrier) AS
  SELECT mention.event, mention.identifier, mention.role
  FROM event_mention AS mention JOIN event ON event.id = mention.event JOIN organisation ON organisation.id = event.organisation
  WHERE organisation.publishes OR EXISTS (SELECT FROM covered_event WHERE covered_event.event = mention.event);

-- What counts of the marks that those events set and lift.
CREATE VIEW asker_mark WITH (security_barrier) AS
  SELECT leaf.position, mark.lot, mark.portion, mark.known_as, mark.set_marks, mark.unset_marks, mark.speaks
  FROM lot_mark AS mark JOIN leaf ON leaf.event = mark.event JOIN event ON event.id = mark.event
  JOIN organisation ON organisation.id = event.organisation
  WHERE organisation.publishes OR EXISTS (SELECT FROM covered_event WHERE covered_event.event = mark.event);
-- Of lots that something published names: a word about a pallet does not tell what is on it.
CREATE VIEW published_mark WITH (security_barrier) AS
  SELECT leaf.position, mark.lot, mark.portion, mark.known_as, mark.set_marks, mark.unset_marks, mark.speaks
  FROM lot_mark AS mark JOIN leaf ON leaf.event = mark.event JOIN event ON event.id = mark.event
  JOIN organisation ON organisation.id = event.organisation AND organisation.publishes
  WHERE EXISTS (SELECT FROM published_mention AS mention WHERE mention.identifier = mark.lot);
GRANT SELECT ON published_mark TO suyuan_public, suyuan_api;

-- The walk ---------------------------------------------------------------------------------------------------------------

-- Why the asker sees each of these events; one that they may not see has no row.
CREATE FUNCTION shown_events(events bigint[]) RETURNS TABLE (event bigint, why text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH official AS MATERIALIZED (SELECT official_covers(events) AS event WHERE EXISTS (SELECT FROM asker_scope()))
  SELECT event.id, found.why
  FROM event JOIN organisation ON organisation.id = event.organisation JOIN leaf ON leaf.event = event.id
  CROSS JOIN LATERAL (SELECT CASE
    WHEN event.organisation = current_organisation() THEN 'own'
    WHEN EXISTS (SELECT FROM event_party AS party WHERE party.event = event.id AND party.part <> 'capture'
                 AND (party.organisation = current_organisation()
                      OR party.organisation = (SELECT own.party FROM organisation AS own WHERE own.id = current_organisation()))) THEN 'party'
    WHEN EXISTS (SELECT FROM lot_grant_event AS given WHERE given.organisation = current_organisation() AND given.event = event.id) THEN 'granted'
    WHEN event.id IN (SELECT official.event FROM official) THEN 'official'
    WHEN organisation.publishes THEN 'published' END AS why) AS found
  WHERE event.id = ANY (events) AND found.why IS NOT NULL
$$;

-- Those of the names that carry one load after another: by their key, as a registered place or vehicle, or because something
-- was loaded on them (`ledger.recorded`). A pallet's label is never used again.
CREATE FUNCTION shared_carriers(names text[]) RETURNS SETOF text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT name FROM unnest(names) AS name
  WHERE name ~ '^(https://id\.gs1\.org/(8004|8003|414)/|geo:)'
     OR name !~ '^https://id\.gs1\.org/00/' AND (
        EXISTS (SELECT FROM place WHERE place.id = name)
        OR EXISTS (SELECT FROM event_mention AS mention JOIN event ON event.id = mention.event
                   WHERE mention.identifier = name AND mention.role = 'parent'
                     AND event.type = 'AggregationEvent' AND event.biz_step ~ '(^|[:-])loading$'))
$$;

-- Follow the goods from the seeds through what the asker may see, until nothing new is named; not through what many loads
-- share, unless it is a seed. `follows`: reached through the goods, and not only because it names such a carrier.
CREATE FUNCTION walk(seeds text[])
  RETURNS TABLE ("position" bigint, organisation text, body text, id bigint, why text, follows boolean)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  most CONSTANT integer := 20000;
  frontier text[] := ARRAY(SELECT DISTINCT seed FROM unnest(seeds) AS seed);
  seen text[] := '{}';
  carriers text[] := '{}';
  fresh bigint[];
  whys text[];
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

-- How many steps that moved or named these goods the asker may not see, and when the first was (`published_hidden`).
CREATE FUNCTION asker_hidden(identifiers text[], since timestamptz[], until timestamptz[])
  RETURNS TABLE (events bigint, earliest timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH step AS MATERIALIZED (
    SELECT DISTINCT event.id, event.event_time
    FROM unnest(identifiers, since, until) AS asked (identifier, since, until)
    JOIN event_mention AS mention ON mention.identifier = asked.identifier
      AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output')
    JOIN event ON event.id = mention.event AND event.type <> 'AssociationEvent' AND NOT event.is_error
    JOIN organisation ON organisation.id = event.organisation AND NOT organisation.publishes
    WHERE event.event_time >= coalesce(asked.since, '-infinity') AND event.event_time < coalesce(asked.until, 'infinity')
      AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = event.organisation
                      AND declared.event_id = event.event_id AND declared.is_error))
  SELECT count(*), min(step.event_time) FROM step
  WHERE step.id NOT IN (SELECT shown.event FROM shown_events(ARRAY(SELECT id FROM step)) AS shown)
  HAVING count(*) > 0
$$;

-- Another's leg -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION is_beyond(value float8, operator text, threshold float8) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  -- Rounded, since 5.0 + 0.1 + 0.2 would else excuse a reading of exactly 5.3.
  SELECT CASE operator WHEN '>' THEN value > round(threshold::numeric, 9)::float8 WHEN '>=' THEN value >= round(threshold::numeric, 9)::float8
                       WHEN '<' THEN value < round(threshold::numeric, 9)::float8 WHEN '<=' THEN value <= round(threshold::numeric, 9)::float8 END
$$;
CREATE FUNCTION milliseconds(spans tstzmultirange) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(sum(extract(epoch FROM upper(span) - lower(span)) * 1000), 0)::bigint FROM unnest(spans) AS span
$$;

-- Where goods that the asker took in were, of those stays that `keeper` bears out: while they were there it said something of
-- them itself. What others say of somebody's room or vehicle shows nothing of it.
CREATE FUNCTION vouched_stays(holder text, keeper text) RETURNS TABLE (lot text, valid tstzrange)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH stay AS (
    SELECT each.lot, each.valid FROM lot_grant_stay AS each
    WHERE each.organisation = current_organisation() AND each.holder = vouched_stays.holder),
  whole AS (SELECT stay.lot, unnest(range_agg(stay.valid)) AS valid FROM stay GROUP BY stay.lot)
  SELECT stay.lot, stay.valid FROM stay JOIN whole ON whole.lot = stay.lot AND whole.valid @> stay.valid
  WHERE EXISTS (SELECT FROM lot_grant_event AS given JOIN event ON event.id = given.event
                WHERE given.organisation = current_organisation() AND given.lot = stay.lot AND given.said_by = keeper
                  AND event.event_time BETWEEN lower(whole.valid) AND upper(whole.valid))
$$;

-- Whether minutes and extremes of what `keeper` has in `holder` may be told for this span of time: an official's goods were there
-- all the while; or goods that the asker took in were, as the keeper bears out, and the span begins and ends where somebody who had
-- them said something. Spans at will would add up to the series.
CREATE FUNCTION may_be_told(holder text, span tstzrange, keeper text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce((SELECT bool_or(told.whole)
                   FROM (SELECT bool_or(lower(stay.valid) = lower(span)) AND bool_or(upper(stay.valid) = upper(span))
                                AND range_agg(stay.valid) @> span AS whole
                         FROM vouched_stays(may_be_told.holder, may_be_told.keeper) AS stay WHERE stay.valid && span GROUP BY stay.lot) AS told), false)
      OR coalesce((SELECT range_agg(presence.valid) @> span
                   FROM presence
                   WHERE presence.holder = may_be_told.holder AND presence.valid && span
                     AND presence.lot IN (SELECT lot FROM official_lots(ARRAY(
                       SELECT DISTINCT here.lot FROM presence AS here WHERE here.holder = may_be_told.holder AND here.valid && span)))), false)
$$;

-- How long it was unknown, or possibly beyond a limit, without when: blocks of neighbouring runs, [milliseconds, unknown] each.
-- A block at the beginning or the end stands there, since it may go on in the leg beside; the others by length.
CREATE FUNCTION condensed(span tstzrange, unknown tstzmultirange, maybe tstzmultirange) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  WITH run AS (SELECT part, true AS unknown FROM unnest(unknown) AS part UNION ALL SELECT part, false FROM unnest(maybe) AS part),
  edge AS (SELECT *, lower(part) IS DISTINCT FROM lag(upper(part)) OVER (ORDER BY part) AS begins FROM run),
  numbered AS (SELECT *, count(*) FILTER (WHERE begins) OVER (ORDER BY part) AS block FROM edge),
  block AS (
    SELECT jsonb_agg(jsonb_build_array((extract(epoch FROM upper(part) - lower(part)) * 1000)::bigint, numbered.unknown) ORDER BY part) AS runs,
           min(lower(part)) = lower(span) AS first, max(upper(part)) = upper(span) AS last, max(upper(part)) - min(lower(part)) AS took
    FROM numbered GROUP BY block)
  SELECT jsonb_build_object('head', coalesce(jsonb_agg(runs) FILTER (WHERE first) -> 0, '[]'),
                            'inner', coalesce(jsonb_agg(runs ORDER BY took DESC, runs) FILTER (WHERE NOT first AND NOT last), '[]'),
                            'tail', coalesce(jsonb_agg(runs) FILTER (WHERE last AND NOT first) -> 0, '[]'))
  FROM block
$$;

-- What is told of a leg instead of its readings: for each limit how long it was measured, not observed, and beyond at least and
-- at most; in the last row (no limit) extremes and minutes at the positions the limits name. `judged`: what a verdict needs
-- besides, of the readings as they are and with the sensors' accuracy weighed (`ingest.coldchain.told`).
CREATE FUNCTION asker_leg(wanted integer[], from_time timestamptz, to_time timestamptz, limit_ids text[], limit_versions integer[])
  RETURNS TABLE (limit_id text, limit_version integer, measured_ms bigint, unobserved_ms bigint, minimum float8, maximum float8,
                 out_at_least_ms bigint, out_at_most_ms bigint, degree_minutes float8, judged jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH leg AS (SELECT tstzrange(from_time, to_time) AS span),
  sat AS MATERIALIZED (
    SELECT placement.id, placement.series_id, placement.probe_position AS position, placement.valid, placement.valid * leg.span AS own,
           device.accuracy_c, 2 * device.interval_s * INTERVAL '1 second' AS gap
    FROM leg CROSS JOIN placement JOIN series ON series.id = placement.series_id AND series.quantity = 'temperature'
    JOIN device ON device.id = series.device_id JOIN organisation ON organisation.id = series.organisation
    WHERE placement.series_id = ANY (wanted) AND NOT placement.conflict AND placement.valid && leg.span
      AND (organisation.publishes OR series.organisation = current_organisation() OR may_be_told(placement.parent, leg.span, organisation.id))),
  knot AS MATERIALIZED (
    SELECT sat.*, store.time, store.value, sat.own @> store.time AS inside,
           lag(store.time) OVER series_order AS before, lag(store.value) OVER series_order AS value_before,
           lead(store.time) OVER series_order IS NULL AS newest
    FROM sat JOIN reading_store AS store ON store.series_id = sat.series_id AND sat.valid @> store.time
      AND store.time >= lower(sat.own) - sat.gap AND store.time < upper(sat.own) + sat.gap
    WINDOW series_order AS (PARTITION BY sat.id ORDER BY store.time)),
  piece AS MATERIALIZED (   -- between readings, and from the last one to where the placement ends
    SELECT id, position, accuracy_c, tstzrange(coalesce(before, lower(valid)), time) * own AS part,
           value_before, value, time - coalesce(before, lower(valid)) <= gap AS known
    FROM knot
    UNION ALL
    SELECT id, position, accuracy_c, tstzrange(time, greatest(time, coalesce(upper(valid), to_time))) * own, value, NULL,
           coalesce(upper(valid), to_time) - time <= gap
           AND NOT EXISTS (SELECT FROM reading_store AS later WHERE later.series_id = knot.series_id AND later.time > knot.time AND valid @> later.time)
    FROM knot WHERE newest),
  rule AS MATERIALIZED (
    SELECT version.id AS limit_id, version.version AS limit_version, version.positions, sign.n AS weighed,
           version.body ->> 'operator' AS operator, (version.body ->> 'limit_c')::float8 AS limit_c,
           CASE WHEN version.body ->> 'side' = 'above' THEN 1 ELSE -1 END AS outwards,
           (version.body ->> 'minutes')::float8 * INTERVAL '1 minute' AS hold, (version.body ->> 'guard_band_c')::float8 AS guard_c
    FROM unnest(limit_ids, limit_versions) AS asked (id, version) JOIN limit_version AS version USING (id, version)
    CROSS JOIN (VALUES (0), (1)) AS sign (n)),
  judged AS (   -- each piece under each limit; beyond for certain, beyond perhaps, at either end
    SELECT rule.limit_id, rule.limit_version, rule.weighed, rule.limit_c, piece.*,
           is_beyond(value_before, operator, limit_c + outwards * margin) AND is_beyond(value, operator, limit_c + outwards * margin) AS certain,
           coalesce(is_beyond(value_before, operator, limit_c - outwards * margin), false)
             OR coalesce(is_beyond(value, operator, limit_c - outwards * margin), false) AS maybe
    FROM rule JOIN piece ON piece.position = ANY (rule.positions) AND NOT isempty(piece.part)
    CROSS JOIN LATERAL (SELECT rule.weighed * (piece.accuracy_c + rule.guard_c) AS margin) AS moved),
  worst AS (    -- of several sensors the worst counts
    SELECT each.limit_id, each.limit_version, each.weighed, max(each.certain) AS certain, max(each.area) AS area
    FROM (SELECT judged.limit_id, judged.limit_version, judged.weighed, judged.id,
                 sum(upper(part) - lower(part)) FILTER (WHERE known AND certain) AS certain,
                 sum(extract(epoch FROM upper(part) - lower(part)) / 60 * (abs(value_before - limit_c) + abs(value - limit_c)) / 2)
                   FILTER (WHERE known AND certain) AS area
          FROM judged GROUP BY 1, 2, 3, 4) AS each
    GROUP BY 1, 2, 3),
  stretch AS (  -- readings beyond one after another; a gap as long as the hold ends a stretch, a shorter one is not counted
    SELECT each.limit_id, each.limit_version, each.weighed, max(each.took) AS took, bool_or(each.beyond) AS beyond
    FROM (SELECT limit_id, limit_version, weighed, id, stretch, bool_or(beyond) AS beyond,
                 sum(step) FILTER (WHERE goes_on AND step <= gap) AS took
          FROM (SELECT *, count(*) FILTER (WHERE NOT goes_on) OVER (PARTITION BY limit_id, limit_version, weighed, id ORDER BY time) AS stretch
                FROM (SELECT *, beyond AND coalesce(lag(beyond) OVER reading_order AND NOT (step > gap AND step >= hold), false) AS goes_on
                      FROM (SELECT rule.limit_id, rule.limit_version, rule.weighed, rule.hold, knot.id, knot.gap, knot.time,
                                   knot.time - lag(knot.time) OVER (PARTITION BY rule.limit_id, rule.limit_version, rule.weighed, knot.id ORDER BY knot.time) AS step,
                                   is_beyond(knot.value, operator, limit_c + outwards * rule.weighed * (knot.accuracy_c + guard_c)) AS beyond
                            FROM rule JOIN knot ON knot.position = ANY (rule.positions) AND knot.inside) AS reading
                      WINDOW reading_order AS (PARTITION BY limit_id, limit_version, weighed, id ORDER BY time)) AS linked) AS numbered
          GROUP BY 1, 2, 3, 4, 5) AS each
    GROUP BY 1, 2, 3),
  line AS (
    SELECT rule.limit_id, rule.limit_version, rule.weighed, stretch.beyond, stretch.took, worst.certain, worst.area,
           tstzmultirange(leg.span) - coalesce(range_agg(judged.part) FILTER (WHERE judged.known), '{}') AS unknown,
           coalesce(range_agg(judged.part) FILTER (WHERE judged.known AND judged.maybe), '{}') AS maybe, leg.span
    FROM leg CROSS JOIN rule LEFT JOIN judged USING (limit_id, limit_version, weighed)
    LEFT JOIN worst USING (limit_id, limit_version, weighed) LEFT JOIN stretch USING (limit_id, limit_version, weighed)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, leg.span),
  told AS (
    SELECT line.*, milliseconds(tstzmultirange(span)) AS whole_ms, milliseconds(unknown) AS unknown_ms, milliseconds(maybe) AS maybe_ms,
           jsonb_build_object('certain_ms', coalesce(extract(epoch FROM certain) * 1000, 0)::bigint,
                              'longest_ms', coalesce(extract(epoch FROM took) * 1000, 0)::bigint,
                              'surely_out', coalesce(beyond, false), 'measured', beyond IS NOT NULL,
                              'runs', condensed(span, unknown, maybe)) AS judged
    FROM line)
  SELECT plain.limit_id, plain.limit_version, plain.whole_ms - plain.unknown_ms, plain.unknown_ms, NULL::float8, NULL::float8,
         (plain.judged ->> 'certain_ms')::bigint, plain.maybe_ms, coalesce(plain.area, 0),
         jsonb_build_object('plain', plain.judged, 'weighed', weighed.judged)
  FROM told AS plain JOIN told AS weighed ON weighed.limit_id = plain.limit_id AND weighed.limit_version = plain.limit_version
  WHERE plain.weighed = 0 AND weighed.weighed = 1 AND EXISTS (SELECT FROM sat)
  UNION ALL
  SELECT NULL, NULL, coalesce(milliseconds(range_agg(piece.part) FILTER (WHERE piece.known)), 0),
         milliseconds(tstzmultirange(leg.span) - coalesce(range_agg(piece.part) FILTER (WHERE piece.known), '{}')),
         (SELECT min(value) FROM knot WHERE inside AND (named.positions IS NULL OR position = ANY (named.positions))),
         (SELECT max(value) FROM knot WHERE inside AND (named.positions IS NULL OR position = ANY (named.positions))),
         NULL, NULL, NULL, NULL
  FROM leg CROSS JOIN (SELECT array_agg(position) AS positions FROM rule, unnest(rule.positions) AS position) AS named
  LEFT JOIN piece ON NOT isempty(piece.part) AND (named.positions IS NULL OR piece.position = ANY (named.positions))
  WHERE EXISTS (SELECT FROM sat)
  GROUP BY leg.span, named.positions
$$;

-- Proofs -----------------------------------------------------------------------------------------------------------------

CREATE FUNCTION asker_fields(wanted bigint) RETURNS TABLE (ordinal integer, name text, salt bytea, value json, hash bytea)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT field.ordinal::integer, field.name, substring(event_bytes.salts FROM 16 * (field.ordinal::integer - 1) + 1 FOR 16),
         convert_from(event_bytes.bytes, 'UTF8')::json -> field.name,
         substring(event_bytes.field_hashes FROM 32 * (field.ordinal::integer - 1) + 1 FOR 32)
  FROM event_bytes CROSS JOIN LATERAL unnest(event_bytes.field_names) WITH ORDINALITY AS field (name, ordinal)
  WHERE event_bytes.event = wanted AND EXISTS (SELECT FROM covered_event WHERE covered_event.event = wanted)
  UNION ALL
  SELECT * FROM published_fields(wanted) WHERE NOT EXISTS (SELECT FROM covered_event WHERE covered_event.event = wanted)
  ORDER BY 1
$$;

CREATE FUNCTION asker_readings(wanted integer, from_time timestamptz, to_time timestamptz)
  RETURNS TABLE ("time" timestamptz, value float8, flags smallint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT store.time, store.value, store.flags
  FROM reading_store AS store
  WHERE store.series_id = wanted AND store.time >= from_time AND store.time < to_time
    AND EXISTS (SELECT FROM asker_series WHERE asker_series.id = wanted AND asker_series.readable)
  ORDER BY store.time
  LIMIT 100000
$$;

CREATE FUNCTION asker_windows(wanted integer[], from_time timestamptz, to_time timestamptz)
  RETURNS TABLE (id bigint, organisation text, device_id integer, start_time timestamptz, version integer, closed text, leaf_keys bytea, leaf_index bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT w.id, w.organisation, w.device_id, w.start_time, w.version, w.closed, w.leaf_keys, leaf.leaf_index
  FROM sealed_window AS w
  JOIN organisation ON organisation.id = w.organisation AND (organisation.publishes OR organisation.id = current_organisation())
  JOIN leaf ON leaf.sealed_window = w.id
  WHERE w.device_id = ANY (wanted) AND w.start_time > from_time - INTERVAL '1 hour' AND w.start_time < to_time
  ORDER BY w.device_id, w.start_time, w.version
$$;

CREATE FUNCTION asker_device_hour(wanted integer, hour timestamptz)
  RETURNS TABLE (series uuid, time_ms bigint, value float8, flags smallint, body jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH mine AS (SELECT series.id, series.uuid FROM series JOIN organisation ON organisation.id = series.organisation
                WHERE series.device_id = wanted AND (organisation.publishes OR organisation.id = current_organisation()))
  SELECT mine.uuid, (extract(epoch FROM store.time) * 1000)::bigint, store.value, store.flags, NULL::jsonb
  FROM mine JOIN reading_store AS store ON store.series_id = mine.id AND store.time >= hour AND store.time < hour + INTERVAL '1 hour'
  UNION ALL
  SELECT mine.uuid, (extract(epoch FROM seen.time) * 1000)::bigint, NULL::float8, seen.flags, seen.body
  FROM mine JOIN observation AS seen ON seen.series_id = mine.id AND seen.time >= hour AND seen.time < hour + INTERVAL '1 hour'
$$;

REVOKE EXECUTE ON FUNCTION asker_scope, official_lots, official_covers, shown_events, shared_carriers, walk, asker_hidden,
  asker_fields, asker_readings, asker_windows, asker_device_hour, vouched_stays, may_be_told, asker_leg FROM PUBLIC;
-- Functions that views call run as who asks: what these two tell is what the views show anyway.
GRANT EXECUTE ON FUNCTION asker_scope, official_lots, official_covers, walk, asker_hidden, asker_fields, asker_readings, asker_windows, asker_device_hour,
  asker_leg TO suyuan_api;
GRANT SELECT ON asker_organisation, asker_place, asker_product, asker_limit, asker_series, asker_placement, asker_excursion, asker_log,
  asker_event, asker_mention, asker_mark TO suyuan_api;
