-- Hold proposals: which goods hang together with a positive test, by how much, who has them now, and what people decided.

-- What a mixed lot was made of, by weight over all its runs; shares are null where a weight is not known. A projection.
CREATE TABLE lot_input (
  lot       text NOT NULL,
  source    text NOT NULL,
  kilograms float8,
  share     float8 CHECK (share >= 0 AND share <= 1.000001),
  PRIMARY KEY (lot, source)
);
CREATE INDEX lot_input_source ON lot_input (source);

-- Where and by whom a lot was harvested, as its maker says. A projection.
CREATE TABLE lot_harvest (
  lot          text NOT NULL,
  organisation text NOT NULL,               -- who says it
  plot         text,
  grower       text,                        -- a reference of that organisation's
  first_at     timestamptz NOT NULL,
  last_at      timestamptz NOT NULL CHECK (last_at >= first_at),
  UNIQUE NULLS NOT DISTINCT (lot, organisation, plot, grower)
);
CREATE INDEX lot_harvest_plot ON lot_harvest (plot);
CREATE INDEX lot_harvest_grower ON lot_harvest (organisation, grower);
GRANT SELECT, INSERT, DELETE ON lot_input, lot_harvest TO suyuan_jobs;

-- Lots that are known already get their rows from the same code as new ones.
INSERT INTO registry_change (kind, identifier) SELECT DISTINCT 'lot', lot FROM lot_origin;

-- A pesticide or fertiliser used on a plot: a record of its own, in the ledger under a commitment (entry type `registry`).
CREATE TABLE input_use (
  id            uuid PRIMARY KEY,
  organisation  text NOT NULL REFERENCES organisation,
  plot          text NOT NULL,
  registration  text NOT NULL CHECK (registration ~ '\S' AND length(registration) <= 60),   -- of the product: PD20050123
  name          text NOT NULL CHECK (length(name) <= 200),
  dose          text NOT NULL CHECK (dose ~ '\S' AND length(dose) <= 200),
  used_on       date NOT NULL,
  interval_days integer NOT NULL CHECK (interval_days BETWEEN 0 AND 365),   -- before harvest
  corrects      uuid UNIQUE REFERENCES input_use,
  account       uuid,
  salts         bytea NOT NULL,             -- 16 bytes a field, in the order of the commitment
  recorded_at   timestamptz NOT NULL
);
CREATE INDEX input_use_plot ON input_use (plot, used_on);
CREATE INDEX input_use_product ON input_use (organisation, registration, used_on);

-- Who decided what about which proposal. Nothing is held by itself: a hold names the act that a person did. `holder`: who had the
-- goods, an organisation. `reasons`, `kilograms`: as they stood then.
CREATE TABLE hold_decision (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  proposal     uuid NOT NULL,
  test         uuid NOT NULL REFERENCES test_record,
  lot          text NOT NULL,
  holder       text REFERENCES organisation,
  decision     text NOT NULL CHECK (decision IN ('hold', 'request', 'leave')),
  reason       text NOT NULL CHECK (reason ~ '\S' AND length(reason) <= 500),
  kilograms    float8,
  reasons      jsonb NOT NULL,
  organisation text REFERENCES organisation,   -- of who decided; null: an official
  account      uuid,
  act          uuid REFERENCES act,
  decided_at   timestamptz NOT NULL,
  CONSTRAINT a_hold_is_an_act CHECK ((decision = 'hold') = (act IS NOT NULL)),
  CONSTRAINT a_request_has_a_holder CHECK (decision <> 'request' OR holder IS NOT NULL)
);
CREATE INDEX hold_decision_proposal ON hold_decision (proposal, id);
CREATE INDEX hold_decision_holder ON hold_decision (holder, id);

ALTER TABLE input_use ENABLE ROW LEVEL SECURITY;
ALTER TABLE hold_decision ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON input_use TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
CREATE POLICY own ON hold_decision TO suyuan_api USING (organisation = current_organisation());
CREATE POLICY erase ON input_use TO suyuan_eraser USING (true) WITH CHECK (true);
CREATE POLICY erase ON hold_decision TO suyuan_eraser USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON input_use TO suyuan_api;
GRANT SELECT ON hold_decision TO suyuan_api;
GRANT SELECT ON input_use, hold_decision TO suyuan_eraser;
GRANT UPDATE (name, dose) ON input_use TO suyuan_eraser;
GRANT UPDATE (reason) ON hold_decision TO suyuan_eraser;

-- Whether the asker grows or gathers on that plot: it is a place of theirs, or they recorded a harvest there.
CREATE FUNCTION is_own_plot(wanted text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM place WHERE place.id IN (wanted, split_part(wanted, '/254/', 1)) AND place.organisation = current_organisation())
      OR EXISTS (SELECT FROM lot_harvest WHERE lot_harvest.plot = wanted AND lot_harvest.organisation = current_organisation())
$$;

-- The functions below that are granted to nobody answer for the whole instance; what an asker gets of it is decided in hold_proposals.

-- How much of each seed is in a lot (`onward`), or of a lot in the seed, by weight: level by level, so that a lot that is reached by
-- many ways is one row a level. Not through or to what stands in `beside`, the seeds themselves aside.
CREATE FUNCTION lot_shares(seeds text[], onward boolean, levels integer, beside text[])
  RETURNS TABLE (seed text, lot text, share float8)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  most CONSTANT integer := 50000;
  roots text[] := seeds;
  lots text[] := seeds;
  shares float8[] := array_fill(1.0::float8, ARRAY[cardinality(seeds)]);
  all_roots text[] := seeds;
  all_lots text[] := seeds;
  all_shares float8[] := shares;
BEGIN
  FOR level IN 1..levels LOOP
    EXIT WHEN coalesce(cardinality(lots), 0) = 0 OR cardinality(all_lots) > most;
    SELECT array_agg(next.root), array_agg(next.lot), array_agg(next.share) INTO roots, lots, shares
    FROM (SELECT here.root, found.lot, CASE WHEN bool_and(found.share * here.share IS NOT NULL) THEN least(sum(found.share * here.share), 1) END AS share
          FROM unnest(roots, lots, shares) AS here (root, lot, share)
          JOIN LATERAL (
            SELECT input.lot, input.share FROM lot_input AS input WHERE onward AND input.source = here.lot
            UNION ALL
            SELECT input.source, input.share FROM lot_input AS input WHERE NOT onward AND input.lot = here.lot) AS found
            ON found.lot <> here.root AND found.lot <> ALL (beside)
          GROUP BY here.root, found.lot) AS next;
    all_roots := all_roots || roots;
    all_lots := all_lots || lots;
    all_shares := all_shares || shares;
  END LOOP;
  RETURN QUERY
    SELECT each.root, each.lot, CASE WHEN bool_and(each.share IS NOT NULL) THEN least(sum(each.share), 1) END
    FROM unnest(all_roots, all_lots, all_shares) AS each (root, lot, share) GROUP BY each.root, each.lot;
END
$$;

-- What hangs together with a tested lot, and how: `of_tested`, how much of the tested lot shares this with it; `of_goods`, how much of
-- these goods is concerned; `via`, the lots between. `rules`: days and levels (trace_api/holds/rules.json).
CREATE FUNCTION hold_candidates(tested text, rules jsonb)
  RETURNS TABLE (lot text, reason text, of_tested float8, of_goods float8, via text[], fact jsonb)
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  WITH days AS (
    SELECT (rules ->> 'plot_days')::integer * INTERVAL '1 day' AS plot, (rules ->> 'grower_days')::integer * INTERVAL '1 day' AS grower,
           (rules ->> 'spray_days')::integer AS spray, (rules ->> 'reach_days')::integer AS reach, (rules ->> 'levels')::integer AS levels),
  behind AS MATERIALIZED (
    SELECT shares.lot, shares.share FROM days CROSS JOIN LATERAL lot_shares(ARRAY[tested], false, days.levels, '{}') AS shares),
  field AS MATERIALIZED (
    SELECT harvest.*, behind.share, (harvest.first_at AT TIME ZONE 'Asia/Shanghai')::date AS first_day,
           (harvest.last_at AT TIME ZONE 'Asia/Shanghai')::date AS last_day
    FROM behind JOIN lot_harvest AS harvest USING (lot)),
  standing AS NOT MATERIALIZED (
    SELECT used.* FROM input_use AS used WHERE NOT EXISTS (SELECT FROM input_use AS later WHERE later.corrects = used.id)),
  sibling AS (
    SELECT DISTINCT other.lot, 'same_plot' AS reason, field.lot AS source, field.share, jsonb_build_object('plot', field.plot) AS fact
    FROM days CROSS JOIN field JOIN lot_harvest AS other ON other.plot = field.plot
      AND other.first_at <= field.last_at + days.plot AND other.last_at >= field.first_at - days.plot
    UNION
    SELECT other.lot, 'same_grower', field.lot, field.share, jsonb_build_object('grower', field.grower)
    FROM days CROSS JOIN field JOIN lot_harvest AS other ON other.organisation = field.organisation AND other.grower = field.grower
      AND other.first_at <= field.last_at + days.grower AND other.last_at >= field.first_at - days.grower
    UNION
    SELECT other.lot, 'same_spray', field.lot, field.share,
           jsonb_build_object('registration', used.registration, 'name', used.name, 'used_on', used.used_on, 'interval_days', used.interval_days,
                              'days_before', field.first_day - used.used_on)
    FROM days CROSS JOIN field
    JOIN standing AS used ON used.plot = field.plot AND used.used_on BETWEEN field.first_day - days.reach AND field.last_day
    JOIN standing AS round ON round.organisation = used.organisation AND round.registration = used.registration
      AND round.used_on BETWEEN used.used_on - days.spray AND used.used_on + days.spray
    JOIN lot_harvest AS other ON other.plot = round.plot
      AND (other.last_at AT TIME ZONE 'Asia/Shanghai')::date >= round.used_on
      AND (other.first_at AT TIME ZONE 'Asia/Shanghai')::date <= round.used_on + days.reach),
  linked AS MATERIALIZED (
    SELECT behind.lot, CASE WHEN behind.lot = tested THEN 'same_lot' ELSE 'input' END AS reason, behind.share AS of_tested,
           ARRAY[behind.lot] AS via, '{}'::jsonb AS fact
    FROM behind
    UNION ALL
    SELECT once.lot, once.reason, CASE WHEN bool_and(once.share IS NOT NULL) THEN least(sum(once.share), 1) END, array_agg(once.source ORDER BY once.source),
           once.fact
    FROM (SELECT sibling.lot, sibling.reason, sibling.source, sibling.share, (array_agg(sibling.fact ORDER BY sibling.fact))[1] AS fact
          FROM sibling WHERE sibling.lot NOT IN (SELECT behind.lot FROM behind) GROUP BY 1, 2, 3, 4) AS once
    GROUP BY once.lot, once.reason, once.fact),
  seed AS MATERIALIZED (   -- each once, by what speaks most of it
    SELECT DISTINCT ON (linked.lot) linked.lot, linked.of_tested,
           CASE linked.reason WHEN 'same_lot' THEN 'made_from' WHEN 'input' THEN 'mix' ELSE 'sibling_mix' END AS reason
    FROM linked ORDER BY linked.lot, linked.of_tested DESC NULLS LAST),
  onward AS (
    SELECT shares.seed, shares.lot, shares.share FROM days
    CROSS JOIN LATERAL lot_shares(ARRAY(SELECT seed.lot FROM seed ORDER BY 1), true, days.levels, ARRAY(SELECT seed.lot FROM seed)) AS shares
    WHERE shares.lot <> shares.seed)
  SELECT linked.lot, linked.reason, linked.of_tested, 1.0::float8, linked.via, linked.fact FROM linked
  UNION ALL
  SELECT onward.lot, seed.reason, CASE WHEN bool_and(seed.of_tested IS NOT NULL) THEN least(sum(seed.of_tested), 1) END,
         CASE WHEN bool_and(onward.share IS NOT NULL) THEN least(sum(onward.share), 1) END, array_agg(onward.seed ORDER BY onward.seed), '{}'
  FROM onward JOIN seed ON seed.lot = onward.seed GROUP BY onward.lot, seed.reason
$$;

-- Tests that stand against goods: of each tester and lot the first positive since the goods were last cleared. A laboratory's clean
-- result clears them, and so does a clean retest of that very test; both by who tested. `confirmed`: a laboratory said so.
CREATE INDEX test_record_positive ON test_record (result_at) WHERE outcome = 'positive';
CREATE FUNCTION is_taken_back(organisation text, said bigint) RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM event AS one JOIN event AS declared ON declared.event_id = one.event_id AND declared.is_error
                 WHERE one.id = is_taken_back.said AND declared.organisation = is_taken_back.organisation)
$$;
CREATE VIEW standing_positive AS
  SELECT DISTINCT ON (test.organisation, test.lot) test.id, test.organisation, test.lot, test.unit, test.place, test.result_at,
         EXISTS (SELECT FROM test_record AS final WHERE final.lot = test.lot AND final.organisation = test.organisation AND final.final
                 AND final.outcome = 'positive' AND final.result_at >= test.result_at AND NOT is_taken_back(final.organisation, final.event)) AS confirmed
  FROM test_record AS test
  WHERE test.outcome = 'positive' AND NOT is_taken_back(test.organisation, test.event)
    AND NOT EXISTS (SELECT FROM test_record AS clean WHERE clean.lot = test.lot AND clean.organisation = test.organisation AND clean.outcome = 'negative'
                    AND (clean.retest_of = test.id OR clean.final AND clean.result_at >= test.result_at)
                    AND NOT is_taken_back(clean.organisation, clean.event))
  ORDER BY test.organisation, test.lot, test.result_at, test.number;

CREATE TYPE hold_proposal AS (
  id uuid, test uuid, tester text, tester_zh text, tester_en text, tested_lot text, result_at timestamptz, confirmed boolean, relation text,
  lot text, holder text, holder_zh text, holder_en text, kilograms float8, units text[], places text[], reasons jsonb);

-- Every proposal of which the asker may decide or hear something, and in which part: `holder` has the goods; `official` oversees them;
-- `tester` tested. The tester does not hear who has what elsewhere: of goods that are not at their own places and not published, they
-- get the reasons alone. A holder hears of which lot and by whom it was tested only where tests_seen tells them so.
CREATE FUNCTION hold_proposals(rules jsonb, at timestamptz) RETURNS SETOF hold_proposal
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  us CONSTANT text := current_organisation();
  overseeing CONSTANT boolean := EXISTS (SELECT FROM asker_scope());
  positive standing_positive;
  told boolean;
BEGIN
  IF us IS NULL AND NOT overseeing THEN
    RETURN;
  END IF;
  -- A hundred of the asker's own and a hundred of others at most, the newest of each tester in turn: nobody's many hide another's.
  FOR positive IN SELECT chosen.id, chosen.organisation, chosen.lot, chosen.unit, chosen.place, chosen.result_at, chosen.confirmed
                  FROM (SELECT ranked.*, row_number() OVER (PARTITION BY ranked.organisation IS NOT DISTINCT FROM us ORDER BY ranked.turn, ranked.result_at DESC) AS place_in_line
                        FROM (SELECT each.*, row_number() OVER (PARTITION BY each.organisation ORDER BY each.result_at DESC) AS turn
                              FROM standing_positive AS each
                              WHERE each.result_at > at - (rules ->> 'open_days')::integer * INTERVAL '1 day') AS ranked) AS chosen
                  WHERE chosen.place_in_line <= 100 ORDER BY chosen.result_at DESC LOOP
    told := positive.organisation = us OR EXISTS (SELECT FROM tests_seen(ARRAY[positive.lot]) AS seen WHERE seen.id = positive.id);
    RETURN QUERY
    WITH candidate AS MATERIALIZED (
      SELECT found.lot, jsonb_agg(jsonb_build_object('reason', found.reason, 'of_tested', found.of_tested, 'of_goods', found.of_goods,
               'via', to_jsonb(found.via[1:20]), 'fact', found.fact)
               ORDER BY found.of_tested * found.of_goods DESC NULLS LAST, found.reason) AS reasons
      FROM hold_candidates(positive.lot, rules) AS found GROUP BY found.lot),
    overseen AS MATERIALIZED (
      SELECT official.lot FROM official_lots(ARRAY(SELECT candidate.lot FROM candidate)) AS official WHERE overseeing),
    goods AS MATERIALIZED (   -- what is there now, without what was tested, which its own test holds
      SELECT candidate.lot, coalesce(own.id, site.organisation) AS holder, here.kilograms, here.inside, here.place,
             site.organisation = us AS at_ours
      FROM candidate JOIN whereabouts AS here ON here.lot = candidate.lot AND upper_inf(here.valid) AND lower(here.valid) <= at
      LEFT JOIN organisation AS own ON own.party = here.holder
      LEFT JOIN LATERAL (SELECT place.organisation FROM place WHERE place.id IN (here.place, split_part(here.place, '/254/', 1))
                         ORDER BY length(place.id) DESC LIMIT 1) AS site ON true
      WHERE NOT (here.lot = positive.lot AND positive.unit IS NOT NULL AND positive.unit = ANY (here.inside))),
    held AS (
      SELECT goods.lot, goods.holder, CASE WHEN bool_and(goods.kilograms IS NOT NULL) THEN sum(goods.kilograms) END AS kilograms,
             array_remove(array_agg(DISTINCT goods.inside[1]), NULL) AS units, array_remove(array_agg(DISTINCT goods.place), NULL) AS places,
             bool_and(coalesce(goods.at_ours, false)) AS at_ours
      FROM goods GROUP BY goods.lot, goods.holder),
    seen AS (
      SELECT held.*, candidate.reasons, who.name_zh, who.name_en, coalesce(who.publishes, false) AS publishes,
             CASE WHEN held.holder = us THEN 'holder' WHEN held.lot IN (SELECT overseen.lot FROM overseen) THEN 'official'
                  WHEN positive.organisation = us THEN 'tester' END AS relation
      FROM held JOIN candidate USING (lot) LEFT JOIN organisation AS who ON who.id = held.holder)
    SELECT md5(positive.id || ' ' || seen.lot || ' ' || coalesce(seen.holder, ''))::uuid, positive.id,
           shown.tester, tester.name_zh, tester.name_en, shown.tested_lot, positive.result_at, positive.confirmed, seen.relation,
           CASE WHEN shown.goods THEN seen.lot END, CASE WHEN shown.goods THEN seen.holder END,
           CASE WHEN shown.goods THEN seen.name_zh END, CASE WHEN shown.goods THEN seen.name_en END,
           CASE WHEN shown.goods THEN seen.kilograms END, CASE WHEN shown.goods THEN seen.units ELSE '{}' END,
           CASE WHEN shown.goods THEN seen.places ELSE '{}' END,
           CASE WHEN shown.goods AND shown.tested_lot IS NOT NULL THEN seen.reasons ELSE (
             SELECT jsonb_agg(each.value - 'via' - 'fact' ORDER BY each.number) FROM jsonb_array_elements(seen.reasons) WITH ORDINALITY AS each (value, number)) END
    FROM seen
    CROSS JOIN LATERAL (
      SELECT seen.relation <> 'tester' OR seen.publishes OR seen.at_ours AS goods,
             CASE WHEN told OR seen.relation = 'official' THEN positive.lot END AS tested_lot,
             CASE WHEN told OR seen.relation = 'official' THEN positive.organisation END AS tester) AS shown
    LEFT JOIN organisation AS tester ON tester.id = shown.tester
    WHERE seen.relation IS NOT NULL
    ORDER BY (seen.reasons -> 0 ->> 'of_tested')::float8 * (seen.reasons -> 0 ->> 'of_goods')::float8 DESC NULLS LAST, seen.lot, seen.holder;
  END LOOP;
END
$$;

-- What the tested lots of these proposals were made of, by weight; a lot that the asker may see nothing of has no name.
CREATE FUNCTION hold_behind(rules jsonb, at timestamptz)
  RETURNS TABLE (test uuid, lot text, share float8, plots text[], sprays jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH asked AS (SELECT DISTINCT seen.test, seen.tested_lot FROM hold_proposals(rules, at) AS seen WHERE seen.tested_lot IS NOT NULL),
  behind AS MATERIALIZED (
    SELECT asked.test, shares.lot, shares.share FROM asked
    CROSS JOIN LATERAL lot_shares(ARRAY[asked.tested_lot], false, (rules ->> 'levels')::integer, '{}') AS shares WHERE shares.lot <> asked.tested_lot)
  SELECT behind.test, CASE WHEN named.seen THEN behind.lot END, behind.share, CASE WHEN named.seen THEN field.plots END,
         CASE WHEN named.seen THEN field.sprays END
  FROM behind
  CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM asker_mention WHERE asker_mention.identifier = behind.lot) AS seen) AS named
  LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT harvest.plot) AS plots,
           jsonb_agg(DISTINCT jsonb_build_object('registration', used.registration, 'name', used.name, 'dose', used.dose, 'used_on', used.used_on,
             'interval_days', used.interval_days, 'days_before', (harvest.first_at AT TIME ZONE 'Asia/Shanghai')::date - used.used_on))
             FILTER (WHERE used.id IS NOT NULL) AS sprays
    FROM lot_harvest AS harvest
    LEFT JOIN input_use AS used ON used.plot = harvest.plot AND NOT EXISTS (SELECT FROM input_use AS later WHERE later.corrects = used.id)
      AND used.used_on BETWEEN (harvest.first_at AT TIME ZONE 'Asia/Shanghai')::date - (rules ->> 'reach_days')::integer
                       AND (harvest.last_at AT TIME ZONE 'Asia/Shanghai')::date
    WHERE harvest.lot = behind.lot) AS field ON true
  ORDER BY behind.test, behind.share DESC NULLS LAST, behind.lot
$$;

-- Decisions on these proposals, the newest first, as whoever may see the proposal sees them. A name is that of who decided, as it stands.
CREATE FUNCTION hold_decisions(rules jsonb, at timestamptz)
  RETURNS TABLE (id bigint, proposal uuid, decision text, reason text, decided_at timestamptz, act uuid, by_name text,
                 by_organisation text, by_zh text, by_en text, ours boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT made.id, made.proposal, made.decision, made.reason, made.decided_at, made.act, person.name, made.organisation, own.name_zh, own.name_en,
         made.organisation IS NOT DISTINCT FROM current_organisation() AND made.account IS NOT DISTINCT FROM current_account()
  FROM hold_decision AS made LEFT JOIN user_account AS person ON person.id = made.account LEFT JOIN organisation AS own ON own.id = made.organisation
  WHERE made.proposal IN (SELECT seen.id FROM hold_proposals(rules, at) AS seen)
  ORDER BY made.id DESC
$$;

-- What somebody asked of the goods that the asker's organisation has, the newest first; `answered`: they decided since.
CREATE FUNCTION hold_requests()
  RETURNS TABLE (id bigint, proposal uuid, lot text, kilograms float8, reason text, decided_at timestamptz, by_name text, by_zh text, by_en text,
                 official boolean, answered boolean, standing boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT made.id, made.proposal, made.lot, made.kilograms, made.reason, made.decided_at, person.name, own.name_zh, own.name_en, made.organisation IS NULL,
         EXISTS (SELECT FROM hold_decision AS later WHERE later.proposal = made.proposal AND later.id > made.id AND later.organisation = made.holder),
         EXISTS (SELECT FROM standing_positive WHERE standing_positive.id = made.test)
  FROM hold_decision AS made LEFT JOIN user_account AS person ON person.id = made.account LEFT JOIN organisation AS own ON own.id = made.organisation
  WHERE made.decision = 'request' AND made.holder = current_organisation()
  ORDER BY made.id DESC LIMIT 100
$$;

-- What waits for the asker's organisation: positive tests of its own about which it decided nothing, and requests that it did not
-- answer. Without the walk: it stands on every page of the gate.
CREATE FUNCTION holds_waiting(since timestamptz) RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT (SELECT count(*) FROM standing_positive AS test WHERE test.organisation = current_organisation() AND test.result_at > since
          AND NOT EXISTS (SELECT FROM hold_decision AS made WHERE made.test = test.id AND made.organisation = current_organisation()))
       + (SELECT count(*) FROM hold_requests() AS asked WHERE asked.standing AND NOT asked.answered)
$$;

-- A person's decision on a proposal that they may decide. `hold` names the act by which they held the goods; `request` goes to who has
-- them, and into the outbox. Who only looks (an auditor) decides nothing. Returns the decision, or nothing where it was not theirs.
CREATE FUNCTION hold_decide(wanted uuid, verdict text, why text, done uuid, rules jsonb, at timestamptz) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  seen hold_proposal;
  goods record;
  made bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('hold proposal ' || wanted, 0));
  SELECT * INTO seen FROM hold_proposals(rules, at) AS each WHERE each.id = wanted;
  IF NOT FOUND OR seen.relation = 'official'
     AND NOT EXISTS (SELECT FROM user_account WHERE user_account.id = current_account() AND 'official' = ANY (user_account.roles)) THEN
    RETURN NULL;
  END IF;
  IF verdict = 'hold' AND NOT EXISTS (SELECT FROM act WHERE act.id = done AND act.organisation = current_organisation() AND act.kind = 'hold')
     OR verdict = 'request' AND seen.relation = 'holder' THEN
    RETURN NULL;
  END IF;
  -- Whole, whatever of it the asker sees: the row says what was decided about.
  SELECT standing.lot, coalesce(own.id, site.organisation) AS holder, sum(standing.kilograms) AS kilograms INTO goods
  FROM hold_candidates((SELECT test.lot FROM standing_positive AS test WHERE test.id = seen.test), rules) AS found
  JOIN whereabouts AS standing ON standing.lot = found.lot AND upper_inf(standing.valid)
  LEFT JOIN organisation AS own ON own.party = standing.holder
  LEFT JOIN LATERAL (SELECT place.organisation FROM place WHERE place.id IN (standing.place, split_part(standing.place, '/254/', 1))
                     ORDER BY length(place.id) DESC LIMIT 1) AS site ON true
  WHERE md5(seen.test || ' ' || standing.lot || ' ' || coalesce(own.id, site.organisation, ''))::uuid = wanted
  GROUP BY 1, 2 LIMIT 1;
  IF verdict = 'request' AND goods.holder IS NULL THEN
    RETURN NULL;
  END IF;
  INSERT INTO hold_decision (proposal, test, lot, holder, decision, reason, kilograms, reasons, organisation, account, act, decided_at)
  VALUES (wanted, seen.test, goods.lot, goods.holder, verdict, why, coalesce(seen.kilograms, goods.kilograms), seen.reasons, current_organisation(),
          current_account(), done, at)
  RETURNING id INTO made;
  IF verdict = 'request' THEN
    -- Not what was found: only that somebody asks for these goods to be kept back.
    INSERT INTO outbox (topic, body, created_at)
    VALUES ('suyuan/v1/' || goods.holder || '/hold_request',
            jsonb_build_object('kind', 'hold_request', 'request', made, 'proposal', wanted, 'lot', goods.lot, 'at', at), at);
  END IF;
  RETURN made;
END
$$;

REVOKE EXECUTE ON FUNCTION is_own_plot, lot_shares, hold_candidates, hold_proposals, hold_behind, hold_decisions, hold_requests, hold_decide, holds_waiting, is_taken_back FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_own_plot, hold_proposals, hold_behind, hold_decisions, hold_requests, hold_decide, holds_waiting TO suyuan_api;

-- What a rapid test measured is not published where it is positive: until a final result the public hears "on hold", and no more.
CREATE OR REPLACE FUNCTION is_publishable(name text, value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT name = ANY (published_field_names()) AND CASE
    WHEN name IN ('suyuan:activity', 'suyuan:probePosition') THEN value #>> '{}' ~ '^[a-z_]{1,40}$'
    WHEN jsonb_typeof(value) NOT IN ('object', 'array') THEN true
    -- Prefixes and where they lead, nothing else.
    WHEN name = '@context' THEN NOT jsonb_path_exists(value,
      'strict $.** ? (@.type() != "array" && @.type() != "object" && !(@ like_regex "^(https?://|urn:)[!-~]+$"))')
      AND NOT EXISTS (SELECT FROM jsonb_path_query(value, 'strict $.** ? (@.type() == "object").keyvalue()') AS pair
                      WHERE pair ->> 'key' !~ '^@?[A-Za-z][A-Za-z0-9_.-]{0,39}$')
    ELSE NOT EXISTS (SELECT FROM jsonb_path_query(value, 'strict $.** ? (@.type() == "object").keyvalue().key') AS key
                     WHERE NOT (key #>> '{}' = ANY (published_keys(name))))
      AND (name <> 'errorDeclaration' OR coalesce(value ->> 'reason', 'ER-incorrect_data') ~ '(^|[-:])(did_not_occur|incorrect_data)$')
      AND (name <> 'sensorElementList' OR NOT jsonb_path_exists(value,
        'strict $.** ? (@.type() == "object").keyvalue() ? ((@.key == "suyuan:probePosition" && !(@.value like_regex "^[a-z_]{1,40}$")
                                                           || @.key == "suyuan:sampleCount" && @.value.type() != "number"))'))
      AND (name <> 'sensorElementList' OR NOT jsonb_path_exists(value,
        '$[*].sensorReport[*] ? (@.type like_regex "CholinesteraseInhibition" && (exists (@.exception) || @.value >= 50 || @.percValue >= 50
                                                                               || @.maxValue >= 50 || @.meanValue >= 50))'))
  END
$$;

-- Orders for real that ended, lot by lot: whoever read of a recall reads how it ended. One that is completed still concerns what was
-- not brought back; one that was withdrawn was wrong.
CREATE VIEW published_recall_ended WITH (security_barrier) AS
  SELECT DISTINCT known.id AS recall, named.lot, known.state, known.issued_at, known.closed_at, known.organisation, known.by_zh, known.by_en, known.department
  FROM recall_known AS known
  JOIN (SELECT of_lot.recall, of_lot.lot FROM recall_lot AS of_lot
        UNION ALL
        SELECT of_lot.recall, origin.lot FROM recall_lot AS of_lot JOIN lot_origin AS origin ON origin.source = of_lot.lot WHERE of_lot.whole) AS named
    ON named.recall = known.id
  WHERE NOT known.drill AND known.state <> 'open';
GRANT SELECT ON published_recall_ended TO suyuan_public, suyuan_api;

-- A holder says that it has read an order. What it does with the goods its events say.
CREATE TABLE recall_acknowledgement (
  recall       uuid NOT NULL REFERENCES recall,
  organisation text NOT NULL REFERENCES organisation,
  account      uuid,
  at           timestamptz NOT NULL,
  PRIMARY KEY (recall, organisation)
);
ALTER TABLE recall_acknowledgement ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON recall_acknowledgement TO suyuan_api USING (organisation = current_organisation());
GRANT SELECT ON recall_acknowledgement TO suyuan_api;

-- False: the asker was not told of it, or has said so before.
CREATE FUNCTION recall_acknowledge(wanted uuid, at timestamptz) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO recall_acknowledgement (recall, organisation, account, at)
  SELECT told.recall, told.keeper, current_account(), at FROM recall_holder AS told JOIN recall ON recall.id = told.recall AND NOT recall.drill
  WHERE told.recall = wanted AND told.keeper = current_organisation() ON CONFLICT DO NOTHING;
  RETURN FOUND;
END
$$;
-- Who has read it, as far as the asker may hear who was told.
CREATE FUNCTION recall_acknowledged(wanted uuid) RETURNS TABLE (keeper text, at timestamptz, by_name text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT said.organisation, said.at, person.name
  FROM recall_acknowledgement AS said LEFT JOIN user_account AS person ON person.id = said.account
  WHERE said.recall = wanted AND said.organisation IN (SELECT told.keeper FROM recall_told(wanted) AS told)
$$;
-- Orders for real that tell the asker's organisation of goods it has, are open, and were not yet read.
CREATE FUNCTION recalls_unread() RETURNS TABLE (recall uuid, level smallint, reason_zh text, reason_en text, issued_at timestamptz, begin_by timestamptz,
                                                by_zh text, by_en text, department text, kilograms float8, boxes float8, read boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT known.id, known.level, known.reason_zh, known.reason_en, known.issued_at, known.begin_by, known.by_zh, known.by_en, known.department,
         told.kilograms, told.boxes,
         EXISTS (SELECT FROM recall_acknowledgement AS said WHERE said.recall = known.id AND said.organisation = told.keeper)
  FROM recall_holder AS told JOIN recall_known AS known ON known.id = told.recall AND NOT known.drill AND known.state = 'open'
  WHERE told.keeper = current_organisation() ORDER BY known.issued_at DESC LIMIT 50
$$;
REVOKE EXECUTE ON FUNCTION recall_acknowledge, recall_acknowledged, recalls_unread FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recall_acknowledge, recall_acknowledged, recalls_unread TO suyuan_api;
