-- Recalls: what became of every portion of every lot, what an order or a drill reaches, who has it, and who is told.

-- Every portion there ever was (a digest of its name, as in lot_mark): who has it, or how it ended. A projection: the rows of a lot
-- add up to what was made of it. What was split up to nothing keeps its row, for its pieces are found through it.
CREATE TABLE portion (
  lot        text NOT NULL,
  portion    text NOT NULL,
  origin     text,                          -- what it was taken from
  began      timestamptz NOT NULL,          -- when it was made or taken
  maker      text,                          -- organisation; null: nobody recorded its making
  run        text,                          -- that made it
  used_in    text,                          -- run that used it up
  quantity   float8 CHECK (quantity >= 0),  -- null: not known
  uom        text,                          -- KGM, or null for boxes
  kilograms  float8 CHECK (kilograms >= 0), -- null: not known
  inside     text[] NOT NULL,               -- containers and vehicles, from the innermost out; of what ended, where it last was
  place      text,
  stage      text,
  holder     text,                          -- party
  keeper     text,                          -- organisation
  state      text NOT NULL CHECK (state IN ('held', 'dispersed', 'returned', 'destroyed', 'used', 'sampled', 'gone')),
  since      timestamptz NOT NULL,
  said_by    bigint REFERENCES event,       -- the event by which it is in that state
  held_by    text[] NOT NULL,               -- who said that it is held for a recall, and when
  held_at    timestamptz[] NOT NULL,
  PRIMARY KEY (lot, portion)
);
CREATE INDEX portion_origin ON portion (lot, origin) WHERE origin IS NOT NULL;
CREATE INDEX portion_run ON portion (run, used_in) WHERE run IS NOT NULL;
CREATE INDEX portion_used_in ON portion (used_in) WHERE used_in IS NOT NULL;

CREATE TABLE portion_stay (                 -- what was around it, by its own steps; until = since: only seen there
  lot     text NOT NULL,
  portion text NOT NULL,
  name    text NOT NULL,
  stage   text,
  since   timestamptz NOT NULL,
  until   timestamptz CHECK (until >= since)
);
CREATE INDEX portion_stay_lot ON portion_stay (lot);
CREATE INDEX portion_stay_name ON portion_stay (name, since);
CREATE INDEX portion_stay_site ON portion_stay (split_part(name, '/254/', 1), since);
CREATE INDEX portion_stay_vehicle ON portion_stay (substring(name FROM '^(.*/8004/[^/]+)[.][^./]+$'), since)
  WHERE substring(name FROM '^(.*/8004/[^/]+)[.][^./]+$') IS NOT NULL;

CREATE TABLE portion_maybe (                -- what it might just as well have been taken from
  lot     text NOT NULL,
  portion text NOT NULL,
  source  text NOT NULL,
  PRIMARY KEY (lot, source, portion)
);
CREATE TABLE portion_serial (               -- boxes known to be in it
  lot     text NOT NULL,
  portion text NOT NULL,
  first   text NOT NULL,
  last    text NOT NULL CHECK (length(last) = length(first)),
  PRIMARY KEY (lot, portion, first, last)
);
CREATE TABLE run_goods (                    -- what went into a run, and the lots that came out of it
  run       text NOT NULL,
  lot       text NOT NULL,
  output    boolean NOT NULL,
  quantity  float8,
  uom       text,
  kilograms float8,
  found     boolean NOT NULL,               -- goods of it were there to be used up
  PRIMARY KEY (lot, run, output)
);
CREATE INDEX run_goods_run ON run_goods (run);
GRANT SELECT, INSERT, DELETE ON portion, portion_stay, portion_maybe, portion_serial, run_goods TO suyuan_jobs;

-- Orders and drills ------------------------------------------------------------------------------------------------------

-- 食品召回管理办法: how soon a recall of that level begins. Data with its source; nobody of ours has read the text.
CREATE TABLE recall_level (
  level    smallint PRIMARY KEY CHECK (level BETWEEN 1 AND 3),
  name_zh  text NOT NULL,
  name_en  text NOT NULL,
  hours    integer NOT NULL CHECK (hours > 0),
  source   text NOT NULL,
  force    text NOT NULL,
  verified boolean NOT NULL
);
INSERT INTO recall_level VALUES
  (1, '一级召回', 'level one', 24, '食品召回管理办法', 'mandatory', false),
  (2, '二级召回', 'level two', 48, '食品召回管理办法', 'mandatory', false),
  (3, '三级召回', 'level three', 72, '食品召回管理办法', 'mandatory', false);
GRANT SELECT ON recall_level TO suyuan_api;

CREATE TABLE recall (
  id           uuid PRIMARY KEY,
  number       bigint GENERATED ALWAYS AS IDENTITY,
  organisation text REFERENCES organisation,          -- whose order it is; null: an official's
  account      uuid REFERENCES user_account,
  department   text,
  drill        boolean NOT NULL,
  ask          jsonb NOT NULL,                        -- from what: kind, and what it names
  level        smallint NOT NULL REFERENCES recall_level,
  reason_zh    text NOT NULL CHECK (reason_zh ~ '\S' AND length(reason_zh) <= 500),
  reason_en    text NOT NULL CHECK (reason_en ~ '\S' AND length(reason_en) <= 500),
  legal_basis  text NOT NULL CHECK (length(legal_basis) <= 200),
  ordered_at   timestamptz NOT NULL,
  begin_by     timestamptz NOT NULL CHECK (begin_by > ordered_at),
  known_to     bigint NOT NULL,                       -- position up to which events were projected
  CONSTRAINT somebodys CHECK (organisation IS NOT NULL OR (account IS NOT NULL AND department IS NOT NULL))
);
CREATE INDEX recall_organisation ON recall (organisation, ordered_at);

-- What it reached at the order, portion by portion. `seed`: touched by what was asked from; `certain` false: possibly.
CREATE TABLE recall_goods (
  recall    uuid NOT NULL REFERENCES recall,
  lot       text NOT NULL,
  portion   text NOT NULL,
  seed      boolean NOT NULL,
  certain   boolean NOT NULL,
  since     timestamptz NOT NULL,
  state     text NOT NULL,
  keeper    text,
  holder    text,
  place     text,
  unit      text,
  quantity  float8,
  uom       text,
  kilograms float8,
  PRIMARY KEY (recall, lot, portion)
);
CREATE INDEX recall_goods_portion ON recall_goods (lot, portion);

CREATE TABLE recall_lot (                   -- `whole`: all of it there ever was
  recall uuid NOT NULL REFERENCES recall,
  lot    text NOT NULL,
  seed   boolean NOT NULL,
  whole  boolean NOT NULL,
  PRIMARY KEY (recall, lot)
);
CREATE INDEX recall_lot_lot ON recall_lot (lot);

CREATE TABLE recall_holder (                -- whom the order is told, and what they had then; '': not known
  recall    uuid NOT NULL REFERENCES recall,
  keeper    text NOT NULL,
  party     text NOT NULL,
  kilograms float8 NOT NULL,
  boxes     float8 NOT NULL,
  units     integer NOT NULL,
  sold_kg   float8 NOT NULL,
  lots      text[] NOT NULL,
  PRIMARY KEY (recall, keeper, party)
);
CREATE INDEX recall_holder_keeper ON recall_holder (keeper);

CREATE TABLE recall_event (                 -- the events that say the order, and seal it in the log of who gave it
  recall   uuid NOT NULL REFERENCES recall,
  event_id text NOT NULL,
  PRIMARY KEY (recall, event_id)
);

-- Once. completed: what could be brought back was. withdrawn: it was wrong; the goods are free again.
CREATE TABLE recall_closing (
  recall  uuid PRIMARY KEY REFERENCES recall,
  outcome text NOT NULL CHECK (outcome IN ('completed', 'withdrawn')),
  note    text NOT NULL CHECK (length(note) <= 500),
  account uuid REFERENCES user_account,
  at      timestamptz NOT NULL
);

ALTER TABLE recall ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON recall TO suyuan_api USING (organisation = current_organisation() OR account = current_account());
CREATE POLICY erasing ON recall TO suyuan_eraser USING (true) WITH CHECK (true);
GRANT SELECT ON recall TO suyuan_api;
GRANT SELECT, UPDATE (reason_zh, reason_en, legal_basis) ON recall TO suyuan_eraser;
ALTER TABLE recall_closing ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON recall_closing TO suyuan_api USING (EXISTS (SELECT FROM recall WHERE recall.id = recall_closing.recall));
CREATE POLICY erasing ON recall_closing TO suyuan_eraser USING (true) WITH CHECK (true);
GRANT SELECT ON recall_closing TO suyuan_api;
GRANT SELECT, UPDATE (note) ON recall_closing TO suyuan_eraser;

-- How far it reaches -----------------------------------------------------------------------------------------------------

CREATE TYPE portion_seed AS (lot text, portion text, since timestamptz);

-- The places, containers and vehicles of a question, and from when to when.
CREATE FUNCTION recall_spells(ask jsonb) RETURNS TABLE (name text, span tstzrange)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH asked AS (SELECT tstzrange((ask ->> 'from')::timestamptz, (ask ->> 'to')::timestamptz) AS span)
  SELECT ask ->> 'id', asked.span FROM asked WHERE ask ->> 'kind' IN ('unit', 'field', 'place')
  UNION ALL
  SELECT placement.parent, placement.valid * asked.span
  FROM asked CROSS JOIN device JOIN series ON series.device_id = device.id JOIN placement ON placement.series_id = series.id
  WHERE ask ->> 'kind' = 'device' AND ask ->> 'id' IN (device.giai, device.external_id) AND placement.valid && asked.span
  UNION ALL
  SELECT probe.parent, tstzrange(excursion.start_time, excursion.end_time)
  FROM excursion JOIN excursion_probe AS probe USING (id) WHERE ask ->> 'kind' = 'excursion' AND excursion.id = (ask ->> 'number')::bigint
$$;

-- What the question touches itself: portions, and since when; what was taken from them before is not of it.
CREATE FUNCTION recall_seed(ask jsonb) RETURNS SETOF portion_seed
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT portion.lot, portion.portion, '-infinity'::timestamptz FROM portion
  WHERE ask ->> 'kind' = 'lot' AND portion.lot = ask ->> 'id'
  UNION ALL   -- a box: where it is known to be; else where its label is; else, if no label of its lot is known, anywhere
  SELECT portion.lot, portion.portion, 'infinity'::timestamptz
  FROM portion CROSS JOIN LATERAL (
    SELECT coalesce(max(CASE WHEN serial.first = ask ->> 'serial' AND serial.last = serial.first THEN 2 ELSE 1 END)
                    FILTER (WHERE length(serial.first) = length(ask ->> 'serial') AND (ask ->> 'serial') COLLATE "C" BETWEEN serial.first AND serial.last), 0) AS likely,
           count(*) > 0 AS labelled
    FROM portion_serial AS serial WHERE serial.lot = ask ->> 'lot') AS of_lot
  WHERE ask ->> 'kind' = 'box' AND portion.lot = ask ->> 'lot'
    AND (NOT of_lot.labelled OR EXISTS (
      SELECT FROM portion_serial AS mine WHERE mine.lot = portion.lot AND mine.portion = portion.portion
        AND length(mine.first) = length(ask ->> 'serial') AND (ask ->> 'serial') COLLATE "C" BETWEEN mine.first AND mine.last
        AND (of_lot.likely < 2 OR mine.first = mine.last)))
  UNION ALL
  SELECT stay.lot, stay.portion, min(greatest(stay.since, coalesce(lower(spell.span), '-infinity')))
  FROM recall_spells(ask) AS spell
  JOIN portion_stay AS stay ON (stay.name = spell.name OR split_part(stay.name, '/254/', 1) = spell.name
                                OR substring(stay.name FROM '^(.*/8004/[^/]+)[.][^./]+$') = spell.name)
   AND CASE WHEN stay.until = stay.since THEN spell.span @> stay.since ELSE spell.span && tstzrange(stay.since, stay.until) END
  WHERE ask ->> 'kind' <> 'excursion'
     OR stay.lot IN (SELECT goods.lot FROM excursion_goods AS goods WHERE goods.id = (ask ->> 'number')::bigint AND goods.stage IS NOT DISTINCT FROM stay.stage)
  GROUP BY stay.lot, stay.portion
$$;

-- The seeds, what was taken from them since, and all that runs made of it.
CREATE FUNCTION recall_onwards(seeds portion_seed[]) RETURNS SETOF portion_seed
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH RECURSIVE near AS (
    SELECT seed.lot, seed.portion, seed.since FROM unnest(seeds) AS seed
    UNION
    SELECT piece.lot, piece.portion, '-infinity'::timestamptz
    FROM near JOIN portion AS piece ON piece.lot = near.lot AND piece.origin = near.portion AND piece.began >= near.since),
  ran AS (
    SELECT DISTINCT portion.used_in AS run FROM near JOIN portion ON portion.lot = near.lot AND portion.portion = near.portion
    WHERE portion.used_in IS NOT NULL
    UNION
    SELECT made.used_in FROM ran JOIN portion AS made ON made.run = ran.run WHERE made.used_in IS NOT NULL)
  SELECT found.lot, found.portion, min(found.since)
  FROM (SELECT near.lot, near.portion, near.since FROM near
        UNION ALL
        SELECT made.lot, made.portion, '-infinity' FROM ran JOIN portion AS made ON made.run = ran.run) AS found
  GROUP BY found.lot, found.portion
$$;

-- What may be of it, and is not among it yet: taken from one of these or from another just as likely; made in a run that names a
-- lot of which no goods were there.
CREATE FUNCTION recall_doubts(wanted uuid) RETURNS SETOF portion_seed
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT found.lot, found.portion, '-infinity'::timestamptz
  FROM (WITH known AS MATERIALIZED (SELECT DISTINCT goods.lot FROM recall_goods AS goods WHERE goods.recall = wanted)
        SELECT piece.lot, piece.portion
        FROM known JOIN portion_maybe AS maybe ON maybe.lot = known.lot
        JOIN recall_goods AS goods ON goods.recall = wanted AND goods.lot = maybe.lot AND goods.portion = maybe.source
        JOIN portion AS piece ON piece.lot = maybe.lot AND piece.portion = maybe.portion AND piece.began >= goods.since
        UNION
        SELECT made.lot, made.portion
        FROM known JOIN run_goods AS went ON went.lot = known.lot AND NOT went.output AND NOT went.found
        JOIN portion AS made ON made.run = went.run) AS found
  WHERE NOT EXISTS (SELECT FROM recall_goods AS goods WHERE goods.recall = wanted AND goods.lot = found.lot AND goods.portion = found.portion)
$$;

CREATE FUNCTION recall_write(wanted uuid, seeds portion_seed[], sure boolean) RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO recall_goods (recall, lot, portion, seed, certain, since, state, keeper, holder, place, unit, quantity, uom, kilograms)
  SELECT wanted, portion.lot, portion.portion, sure AND seed.lot IS NOT NULL, sure, reached.since, portion.state, portion.keeper,
         portion.holder, portion.place, portion.inside[1], portion.quantity, portion.uom, portion.kilograms
  FROM recall_onwards(seeds) AS reached JOIN portion ON portion.lot = reached.lot AND portion.portion = reached.portion
  LEFT JOIN unnest(seeds) AS seed ON seed.lot = portion.lot AND seed.portion = portion.portion
  ON CONFLICT DO NOTHING;
END
$$;

-- By lot and by holder, once all is reached.
CREATE FUNCTION recall_sum(wanted uuid) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO recall_lot (recall, lot, seed, whole)
  SELECT wanted, of_lot.lot, of_lot.seed, of_lot.certain AND NOT EXISTS (
           SELECT FROM portion WHERE portion.lot = of_lot.lot AND coalesce(portion.quantity, 1) > 0.000001
             AND NOT EXISTS (SELECT FROM recall_goods AS goods WHERE goods.recall = wanted AND goods.lot = portion.lot AND goods.portion = portion.portion))
  FROM (SELECT goods.lot, bool_or(goods.seed) AS seed, bool_and(goods.certain) AS certain FROM recall_goods AS goods WHERE goods.recall = wanted GROUP BY goods.lot) AS of_lot;
  INSERT INTO recall_holder (recall, keeper, party, kilograms, boxes, units, sold_kg, lots)
  SELECT wanted, coalesce(goods.keeper, ''), CASE WHEN goods.keeper IS NULL THEN coalesce(goods.holder, '') ELSE '' END,
         coalesce(sum(goods.kilograms) FILTER (WHERE goods.state <> 'dispersed'), 0),
         coalesce(sum(goods.quantity) FILTER (WHERE goods.state <> 'dispersed' AND goods.uom IS NULL), 0),
         count(DISTINCT goods.unit) FILTER (WHERE goods.state <> 'dispersed'),
         coalesce(sum(goods.kilograms) FILTER (WHERE goods.state = 'dispersed'), 0), array_agg(DISTINCT goods.lot)
  FROM recall_goods AS goods
  WHERE goods.recall = wanted AND goods.state IN ('held', 'returned', 'dispersed') AND coalesce(goods.quantity, 1) > 0.000001
  GROUP BY 1, 2, 3;
$$;

-- The order, with all it reaches at this moment. An organisation recalls what it made, an official what is of their area and
-- department; what else the question touched is counted as refused. {"touched", "seeds", "refused"}: with no seeds nothing stays.
CREATE FUNCTION recall_order(wanted uuid, ask jsonb, for_drill boolean, of_level smallint, zh text, en text, basis text, at timestamptz)
  RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  office CONSTANT text := (SELECT department FROM user_account WHERE id = current_account() AND disabled_at IS NULL AND 'official' = ANY (roles));
  touched portion_seed[] := ARRAY(SELECT seed FROM recall_seed(ask) AS seed);
  seeds portion_seed[];
BEGIN
  IF current_organisation() IS NULL AND office IS NULL THEN
    RAISE EXCEPTION 'recalls are ordered by who made the goods, and by officials' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF office IS NULL THEN
    seeds := ARRAY(SELECT seed FROM unnest(touched) AS seed JOIN portion ON portion.lot = seed.lot AND portion.portion = seed.portion
                   AND portion.maker = current_organisation());
  ELSE
    seeds := ARRAY(SELECT seed FROM unnest(touched) AS seed
                   WHERE seed.lot IN (SELECT own.lot FROM official_lots(ARRAY(SELECT DISTINCT each.lot FROM unnest(touched) AS each)) AS own));
  END IF;
  IF cardinality(seeds) > 0 THEN
    INSERT INTO recall (id, organisation, account, department, drill, ask, level, reason_zh, reason_en, legal_basis, ordered_at, begin_by, known_to)
    SELECT wanted, CASE WHEN office IS NULL THEN current_organisation() END, current_account(), office, for_drill, ask, of_level, zh, en, basis, at,
           at + level.hours * INTERVAL '1 hour', coalesce((SELECT position FROM projection WHERE name = 'portions'), 0)
    FROM recall_level AS level WHERE level.level = of_level;
    PERFORM recall_write(wanted, seeds, true);
    DECLARE doubts portion_seed[] := ARRAY(SELECT doubt FROM recall_doubts(wanted) AS doubt);
    BEGIN
      WHILE cardinality(doubts) > 0 LOOP
        PERFORM recall_write(wanted, doubts, false);
        doubts := ARRAY(SELECT doubt FROM recall_doubts(wanted) AS doubt);
      END LOOP;
    END;
    PERFORM recall_sum(wanted);
  END IF;
  RETURN jsonb_build_object('touched', cardinality(touched), 'seeds', cardinality(seeds),
    'refused', (SELECT count(DISTINCT each.lot) FROM unnest(touched) AS each WHERE each.lot NOT IN (SELECT seed.lot FROM unnest(seeds) AS seed)));
END
$$;

-- What is answered -------------------------------------------------------------------------------------------------------

-- By what right the asker sees a recall: it is theirs; they oversee goods of it; they have, or sold, goods of it. A drill is its
-- maker's alone.
CREATE FUNCTION recall_right(wanted uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE
    WHEN recall.organisation = current_organisation() OR (recall.organisation IS NULL AND recall.account = current_account()) THEN 'ordered'
    WHEN recall.drill THEN NULL
    WHEN EXISTS (SELECT FROM asker_scope()) AND EXISTS (SELECT FROM official_lots(ARRAY(
           SELECT goods.lot FROM recall_lot AS goods WHERE goods.recall = recall.id ORDER BY goods.seed DESC, goods.lot LIMIT 200))) THEN 'overseen'
    WHEN EXISTS (SELECT FROM recall_holder AS told WHERE told.recall = recall.id AND told.keeper = current_organisation()) THEN 'told' END
  FROM recall WHERE recall.id = wanted
$$;

CREATE VIEW recall_known AS   -- no service reads it: the two below do
  SELECT recall.id, recall.number, recall.organisation, orderer.name_zh AS by_zh, orderer.name_en AS by_en, recall.account, recall.department,
         recall.drill, recall.ask, recall.level, recall.reason_zh, recall.reason_en, recall.legal_basis, recall.ordered_at AS issued_at,
         recall.begin_by, recall.known_to, coalesce(closing.outcome, 'open') AS state, closing.at AS closed_at, closing.note
  FROM recall LEFT JOIN organisation AS orderer ON orderer.id = recall.organisation LEFT JOIN recall_closing AS closing ON closing.recall = recall.id;
CREATE VIEW asker_recall WITH (security_barrier) AS
  SELECT known.*, asked.why FROM recall_known AS known CROSS JOIN LATERAL (SELECT recall_right(known.id) AS why OFFSET 0) AS asked
  WHERE asked.why IS NOT NULL;

-- Everybody's to know at once: orders for real, lot by lot (`portion` null: all of it, and what was made of it, also since), else
-- portion by portion with the unit it is in. One that was withdrawn is not there.
CREATE VIEW published_recall WITH (security_barrier) AS
  SELECT known.id AS recall, named.lot, named.portion, named.unit, known.level, known.reason_zh, known.reason_en, known.issued_at,
         known.organisation, known.by_zh, known.by_en, known.department, known.state
  FROM (SELECT origin.lot, NULL::text AS portion, NULL::text AS unit, of_lot.recall
        FROM lot_origin AS origin JOIN recall_lot AS of_lot ON of_lot.lot = origin.source AND of_lot.whole
        UNION
        SELECT of_lot.lot, NULL, NULL, of_lot.recall FROM recall_lot AS of_lot WHERE of_lot.whole
        UNION ALL
        SELECT goods.lot, goods.portion, goods.unit, goods.recall
        FROM recall_lot AS of_lot JOIN recall_goods AS goods ON goods.recall = of_lot.recall AND goods.lot = of_lot.lot
        WHERE NOT of_lot.whole AND goods.state IN ('held', 'returned') AND coalesce(goods.quantity, 1) > 0.000001) AS named
  JOIN recall_known AS known ON known.id = named.recall AND NOT known.drill AND known.state <> 'withdrawn';
GRANT SELECT ON published_recall TO suyuan_public, suyuan_api;
GRANT SELECT ON asker_recall TO suyuan_api;

-- What it reached at the order, summed. Who may not be named to the asker has neither name nor place.
CREATE FUNCTION recall_reached(wanted uuid)
  RETURNS TABLE (lot text, whole boolean, seed boolean, certain boolean, state text, keeper text, party text, hidden boolean, place text,
                 kilograms float8, boxes float8, portions bigint, units bigint, unknown bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH summed AS MATERIALIZED (
    SELECT goods.lot, bool_or(goods.seed) AS seed, goods.certain, goods.state, goods.keeper, goods.holder, goods.place, sum(goods.kilograms) AS kilograms,
           sum(goods.quantity) FILTER (WHERE goods.uom IS NULL) AS boxes, count(*) AS portions, count(DISTINCT goods.unit) AS units,
           count(*) FILTER (WHERE goods.kilograms IS NULL) AS unknown
    FROM recall_goods AS goods
    WHERE goods.recall = wanted AND coalesce(goods.quantity, 1) > 0.000001 AND recall_right(wanted) IN ('ordered', 'overseen')
    GROUP BY goods.lot, goods.certain, goods.state, goods.keeper, goods.holder, goods.place),
  named AS MATERIALIZED (SELECT seen.id FROM asker_organisation AS seen WHERE seen.id IN (SELECT summed.keeper FROM summed)),
  met AS MATERIALIZED (   -- parties that are nobody's here: as the asker, or whoever may see all, met them
    SELECT DISTINCT summed.holder AS party FROM summed
    WHERE summed.keeper IS NULL AND (EXISTS (SELECT FROM asker_scope()) OR EXISTS (
      SELECT FROM event_party AS party JOIN event ON event.id = party.event
      WHERE party.organisation = summed.holder AND event.organisation = current_organisation()))),
  told AS (
    SELECT summed.*, summed.keeper IS NOT NULL AND summed.keeper NOT IN (SELECT named.id FROM named)
                  OR summed.keeper IS NULL AND summed.holder IS NOT NULL AND summed.holder NOT IN (SELECT met.party FROM met) AS hidden FROM summed)
  SELECT told.lot, of_lot.whole, told.seed, told.certain, told.state, CASE WHEN NOT told.hidden THEN told.keeper END,
         CASE WHEN NOT told.hidden AND told.keeper IS NULL THEN told.holder END, told.hidden, CASE WHEN NOT told.hidden THEN told.place END,
         sum(told.kilograms), sum(told.boxes), sum(told.portions)::bigint, sum(told.units)::bigint, sum(told.unknown)::bigint
  FROM told JOIN recall_lot AS of_lot ON of_lot.recall = wanted AND of_lot.lot = told.lot
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY 1, 5, 6, 7, 9
$$;

-- Load units with goods of it, of holders that may be named.
CREATE FUNCTION recall_units(wanted uuid, beyond text, most integer)
  RETURNS TABLE (unit text, lots text[], keeper text, place text, kilograms float8, boxes float8, certain boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT goods.unit, array_agg(DISTINCT goods.lot), min(goods.keeper), min(goods.place), sum(goods.kilograms),
         sum(goods.quantity) FILTER (WHERE goods.uom IS NULL), bool_and(goods.certain)
  FROM recall_goods AS goods
  WHERE goods.recall = wanted AND goods.unit > beyond AND goods.state IN ('held', 'returned') AND coalesce(goods.quantity, 1) > 0.000001
    AND recall_right(wanted) IN ('ordered', 'overseen') AND (goods.keeper IS NULL OR goods.keeper IN (SELECT seen.id FROM asker_organisation AS seen))
  GROUP BY goods.unit ORDER BY goods.unit LIMIT most
$$;

-- Runs among it: what went in of each lot, and how much of that was reached. From this the shares are made.
CREATE FUNCTION recall_runs(wanted uuid)
  RETURNS TABLE (run text, lot text, kilograms float8, reached float8, outputs text[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH used AS MATERIALIZED (
    SELECT portion.used_in AS run, goods.lot, sum(goods.kilograms) AS reached
    FROM recall_goods AS goods JOIN portion ON portion.lot = goods.lot AND portion.portion = goods.portion
    WHERE goods.recall = wanted AND goods.state = 'used' AND goods.certain AND recall_right(wanted) IN ('ordered', 'overseen')
    GROUP BY 1, 2)
  SELECT went.run, went.lot, went.kilograms, used.reached, made.lots
  FROM (SELECT DISTINCT used.run FROM used) AS ran JOIN run_goods AS went ON went.run = ran.run AND NOT went.output
  LEFT JOIN used ON used.run = went.run AND used.lot = went.lot
  CROSS JOIN LATERAL (SELECT array_agg(came.lot) AS lots FROM run_goods AS came WHERE came.run = ran.run AND came.output) AS made
$$;

-- What it reached, as it stands now: with what was taken from it since. `had`: who had it at the order.
CREATE FUNCTION recall_now(wanted uuid) RETURNS TABLE (lot text, portion text, had text, had_party text, was text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH RECURSIVE fresh AS MATERIALIZED (
    SELECT portion.lot, portion.portion, portion.origin
    FROM recall_lot AS of_lot JOIN portion ON portion.lot = of_lot.lot AND portion.origin IS NOT NULL
    WHERE of_lot.recall = wanted
      AND NOT EXISTS (SELECT FROM recall_goods AS goods WHERE goods.recall = wanted AND goods.lot = portion.lot AND goods.portion = portion.portion)),
  taken AS (
    SELECT fresh.lot, fresh.portion, goods.keeper, goods.holder, goods.state
    FROM fresh JOIN portion ON portion.lot = fresh.lot AND portion.portion = fresh.portion
    JOIN recall_goods AS goods ON goods.recall = wanted AND goods.lot = fresh.lot AND goods.portion = fresh.origin AND portion.began >= goods.since
    UNION
    SELECT fresh.lot, fresh.portion, taken.keeper, taken.holder, taken.state FROM taken JOIN fresh ON fresh.lot = taken.lot AND fresh.origin = taken.portion)
  SELECT goods.lot, goods.portion, goods.keeper, goods.holder, goods.state FROM recall_goods AS goods WHERE goods.recall = wanted
  UNION ALL
  SELECT * FROM taken
$$;

-- How goods of it ended, by the event that says so. Its name and witness only to who may see it; the county and the proof of a
-- destruction to whoever ordered or oversees the recall. Dispersed: to buyers nobody knows.
CREATE FUNCTION recall_ended(wanted uuid)
  RETURNS TABLE (state text, event_id text, at timestamptz, keeper text, place text, region text, kilograms float8, boxes float8, shown boolean, papers jsonb, witness text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH ended AS MATERIALIZED (
    SELECT portion.state, portion.said_by, min(portion.since) AS at, portion.keeper, portion.place, sum(portion.kilograms) AS kilograms,
           sum(portion.quantity) FILTER (WHERE portion.uom IS NULL) AS boxes
    FROM recall_now(wanted) AS mine JOIN portion ON portion.lot = mine.lot AND portion.portion = mine.portion
    WHERE portion.state IN ('dispersed', 'destroyed', 'returned', 'sampled', 'gone') AND recall_right(wanted) IN ('ordered', 'overseen')
      AND coalesce(portion.quantity, 1) > 0.000001
    GROUP BY portion.state, portion.said_by, portion.keeper, portion.place),
  seen AS MATERIALIZED (SELECT shown.event FROM shown_events(ARRAY(SELECT ended.said_by FROM ended WHERE ended.said_by IS NOT NULL)) AS shown WHERE shown.why <> 'published'),
  named AS MATERIALIZED (SELECT each.id FROM asker_organisation AS each)
  SELECT ended.state, CASE WHEN seen.event IS NOT NULL THEN event.event_id END, ended.at,
         CASE WHEN named.id IS NOT NULL THEN ended.keeper END, CASE WHEN named.id IS NOT NULL OR seen.event IS NOT NULL THEN ended.place END,
         (SELECT left(ground.region, 6) FROM ground WHERE ground.id IN (ended.place, split_part(ended.place, '/254/', 1)) LIMIT 1),
         ended.kilograms, ended.boxes, seen.event IS NOT NULL,
         CASE WHEN seen.event IS NOT NULL THEN said.body -> 'bizTransactionList'
              WHEN ended.state = 'destroyed' THEN jsonb_path_query_array(said.body, '$.bizTransactionList[*] ? (@.type like_regex "(^|[:/-])(recall_notice|cert)$")') END,
         CASE WHEN seen.event IS NOT NULL THEN said.body ->> 'suyuan:witness' END
  FROM ended LEFT JOIN event ON event.id = ended.said_by LEFT JOIN seen ON seen.event = ended.said_by LEFT JOIN named ON named.id = ended.keeper
  LEFT JOIN LATERAL (SELECT convert_from(event_bytes.bytes, 'UTF8')::jsonb AS body FROM event_bytes WHERE event_bytes.event = ended.said_by) AS said ON true
  ORDER BY ended.at, ended.said_by, ended.place
$$;

-- Of what each holder had at the order: where it is now. acknowledged: when it first said something of it for the recall. Who may
-- not be named is one of the hidden; a holder that was told sees itself.
CREATE FUNCTION recall_progress(wanted uuid)
  RETURNS TABLE (keeper text, party text, hidden boolean, holders bigint, acknowledged timestamptz, state text, kilograms float8, boxes float8, unknown bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH asked AS MATERIALIZED (SELECT recall_right(wanted) AS why, recall.ordered_at FROM recall WHERE recall.id = wanted),
  mine AS MATERIALIZED (
    SELECT now_is.had AS keeper, CASE WHEN now_is.had IS NULL THEN now_is.had_party END AS party, portion.kilograms, portion.quantity, portion.uom,
           CASE WHEN portion.portion IS NULL THEN 'lost'
                WHEN portion.state = 'held' AND portion.keeper IS DISTINCT FROM now_is.had THEN 'passed_on'
                WHEN portion.state = 'held' AND held.at IS NOT NULL THEN 'held'
                WHEN portion.state = 'held' THEN 'out' ELSE portion.state END AS state,
           least(held.at, CASE WHEN portion.state IN ('returned', 'destroyed') AND portion.since >= asked.ordered_at THEN portion.since END) AS acknowledged
    FROM asked CROSS JOIN recall_now(wanted) AS now_is LEFT JOIN portion ON portion.lot = now_is.lot AND portion.portion = now_is.portion
    CROSS JOIN LATERAL (SELECT min(said.at) AS at FROM unnest(portion.held_by, portion.held_at) AS said (who, at)
                        WHERE said.who = now_is.had AND said.at >= asked.ordered_at) AS held
    WHERE now_is.was IN ('held', 'returned') AND coalesce(portion.quantity, 1) > 0.000001
      AND (asked.why IN ('ordered', 'overseen') OR (asked.why = 'told' AND now_is.had = current_organisation()))),
  named AS MATERIALIZED (SELECT each.id FROM asker_organisation AS each WHERE each.id IN (SELECT mine.keeper FROM mine)),
  met AS MATERIALIZED (
    SELECT DISTINCT mine.party FROM mine WHERE mine.party IS NOT NULL AND (EXISTS (SELECT FROM asker_scope()) OR EXISTS (
      SELECT FROM event_party AS party JOIN event ON event.id = party.event
      WHERE party.organisation = mine.party AND event.organisation = current_organisation()))),
  told AS (
    SELECT mine.*, mine.keeper IS NOT NULL AND mine.keeper NOT IN (SELECT named.id FROM named)
                OR mine.party IS NOT NULL AND mine.party NOT IN (SELECT met.party FROM met) AS hidden FROM mine)
  SELECT CASE WHEN NOT told.hidden THEN told.keeper END, CASE WHEN NOT told.hidden THEN told.party END, told.hidden,
         count(DISTINCT coalesce(told.keeper, told.party, '')), CASE WHEN NOT told.hidden THEN min(told.acknowledged) END, told.state,
         sum(told.kilograms), sum(told.quantity) FILTER (WHERE told.uom IS NULL), count(*) FILTER (WHERE told.kilograms IS NULL)
  FROM told GROUP BY CASE WHEN NOT told.hidden THEN told.keeper END, CASE WHEN NOT told.hidden THEN told.party END, told.hidden, told.state
  ORDER BY told.hidden, 1, 2, told.state
$$;

-- The notices, one a holder; of those who may not be named, without who they are.
CREATE FUNCTION recall_told(wanted uuid)
  RETURNS TABLE (keeper text, party text, name_zh text, name_en text, hidden boolean, kilograms float8, boxes float8, units integer, sold_kg float8, lots text[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH asked AS MATERIALIZED (SELECT recall_right(wanted) AS why)
  SELECT CASE WHEN named.id IS NOT NULL THEN told.keeper END, CASE WHEN told.keeper = '' AND met.seen THEN told.party END, named.name_zh, named.name_en,
         told.keeper <> '' AND named.id IS NULL OR told.keeper = '' AND told.party <> '' AND NOT met.seen,
         told.kilograms, told.boxes, told.units, told.sold_kg,
         CASE WHEN named.id IS NOT NULL THEN told.lots[1:100] ELSE '{}' END
  FROM asked CROSS JOIN recall_holder AS told LEFT JOIN asker_organisation AS named ON named.id = told.keeper
  CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM asker_scope()) OR EXISTS (
    SELECT FROM event_party AS party JOIN event ON event.id = party.event
    WHERE party.organisation = told.party AND event.organisation = current_organisation()) AS seen) AS met
  WHERE told.recall = wanted AND (asked.why IN ('ordered', 'overseen') OR (asked.why = 'told' AND told.keeper = current_organisation()))
  ORDER BY 5, 1, 2
$$;

-- What the orderer says in its events: lots that are whole, by connected goods (`part`); the digest seals what was reached.
CREATE FUNCTION recall_said(wanted uuid) RETURNS TABLE (lots text[], digest bytea)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT ARRAY(SELECT of_lot.lot FROM recall_lot AS of_lot WHERE of_lot.recall = wanted AND of_lot.whole ORDER BY of_lot.lot),
         (SELECT sha256(convert_to(string_agg(goods.lot || ' ' || goods.portion, E'\n' ORDER BY goods.lot COLLATE "C", goods.portion COLLATE "C"), 'UTF8'))
          FROM recall_goods AS goods WHERE goods.recall = wanted)
  WHERE recall_right(wanted) = 'ordered'
$$;

CREATE FUNCTION recall_sealed(wanted uuid, said text[]) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO recall_event (recall, event_id) SELECT wanted, unnest(said) WHERE recall_right(wanted) = 'ordered' ON CONFLICT DO NOTHING
$$;

-- Every holder is told, named to the orderer or not. A drill tells nobody. Returns how many are.
CREATE FUNCTION recall_notify(wanted uuid, words jsonb, at timestamptz) RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  sent integer;
BEGIN
  INSERT INTO outbox (topic, body, created_at)
  SELECT 'suyuan/v1/' || told.keeper || '/recall', words || jsonb_build_object('recall', told.recall, 'holder', told.keeper, 'kilograms', told.kilograms,
         'boxes', told.boxes, 'units', told.units, 'sold_kg', told.sold_kg, 'lots', to_jsonb(told.lots[1:100]), 'lots_in_all', cardinality(told.lots)), at
  FROM recall JOIN recall_holder AS told ON told.recall = recall.id AND told.keeper <> ''
  WHERE recall.id = wanted AND NOT recall.drill AND recall_right(wanted) = 'ordered';
  GET DIAGNOSTICS sent = ROW_COUNT;
  RETURN sent;
END
$$;

-- False: it is closed already, or nobody's to close but who ordered it.
CREATE FUNCTION recall_close(wanted uuid, how text, words text, at timestamptz) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO recall_closing (recall, outcome, note, account, at)
  SELECT wanted, how, words, current_account(), at WHERE recall_right(wanted) = 'ordered' ON CONFLICT DO NOTHING;
  RETURN FOUND;
END
$$;

REVOKE EXECUTE ON FUNCTION recall_spells, recall_seed, recall_onwards, recall_doubts, recall_write, recall_sum, recall_order, recall_right, recall_reached,
  recall_units, recall_runs, recall_ended, recall_now, recall_progress, recall_told, recall_said, recall_sealed, recall_notify, recall_close FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recall_order, recall_right, recall_reached, recall_units, recall_runs, recall_ended, recall_progress, recall_told, recall_said,
  recall_sealed, recall_notify, recall_close TO suyuan_api;
