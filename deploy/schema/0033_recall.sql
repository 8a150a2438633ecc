-- Recalls: what became of every portion of every lot, what an order or a drill reaches, who has it, and who is told.

-- Every portion there ever was (a digest of its name, as in lot_mark): who has it, or how it ended. A projection: the rows of a lot
-- add up to what was made of it. What was split up to nothing keeps its row, for its pieces are found through it.
CREATE TABLE portion (
  lot        text NOT NULL,
  portion    text COLLATE "C" NOT NULL,
  origin     text COLLATE "C",              -- what it was taken from
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
  portion text COLLATE "C" NOT NULL,
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
  portion text COLLATE "C" NOT NULL,
  source  text COLLATE "C" NOT NULL,
  PRIMARY KEY (lot, source, portion)
);
CREATE TABLE portion_serial (               -- boxes known to be in it
  lot     text NOT NULL,
  portion text COLLATE "C" NOT NULL,
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
CREATE TABLE recall_goods (                 -- written set-wise, a hundred thousand rows at once: an invariant stands for the key to recall
  recall    uuid NOT NULL,
  lot       text NOT NULL,
  portion   text COLLATE "C" NOT NULL,
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
  said_by   bigint,
  at        timestamptz NOT NULL,                     -- in that state since
  PRIMARY KEY (recall, portion, lot)
);

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

CREATE TYPE portion_seed AS (lot text, portion text COLLATE "C", since timestamptz);

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

-- The seeds, what was taken from them since, and all that runs made of it. What a run made is of it whole, and comes first: what is
-- there already is not written again.
CREATE FUNCTION recall_write(wanted uuid, seeds portion_seed[], sure boolean) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH RECURSIVE near AS (
    SELECT seed.lot, seed.portion, seed.since FROM unnest(seeds) AS seed
    UNION
    SELECT piece.lot, piece.portion, '-infinity'::timestamptz
    FROM near JOIN portion AS piece ON piece.lot = near.lot AND piece.origin = near.portion AND piece.began >= near.since),
  ran AS (
    SELECT DISTINCT portion.used_in AS run FROM near JOIN portion ON portion.lot = near.lot AND portion.portion = near.portion
    WHERE portion.used_in IS NOT NULL
    UNION
    SELECT made.used_in FROM ran JOIN portion AS made ON made.run = ran.run WHERE made.used_in IS NOT NULL),
  own AS MATERIALIZED (SELECT near.lot, near.portion, min(near.since) AS since FROM near GROUP BY near.lot, near.portion)
  INSERT INTO recall_goods (recall, lot, portion, seed, certain, since, state, keeper, holder, place, unit, quantity, uom, kilograms, said_by, at)
  SELECT wanted, made.lot, made.portion, sure AND EXISTS (SELECT FROM unnest(seeds) AS seed WHERE seed.lot = made.lot AND seed.portion = made.portion),
         sure, '-infinity', made.state, made.keeper, made.holder, made.place, made.inside[1], made.quantity, made.uom, made.kilograms,
         made.said_by, made.since
  FROM ran JOIN portion AS made ON made.run = ran.run
  UNION ALL
  SELECT wanted, mine.lot, mine.portion, sure AND EXISTS (SELECT FROM unnest(seeds) AS seed WHERE seed.lot = mine.lot AND seed.portion = mine.portion),
         sure, own.since, mine.state, mine.keeper, mine.holder, mine.place, mine.inside[1], mine.quantity, mine.uom, mine.kilograms,
         mine.said_by, mine.since
  FROM own JOIN portion AS mine ON mine.lot = own.lot AND mine.portion = own.portion
  ON CONFLICT DO NOTHING
$$;

-- By lot and by holder, once all is reached.
CREATE FUNCTION recall_sum(wanted uuid) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO recall_lot (recall, lot, seed, whole)
  WITH of_lot AS MATERIALIZED (   -- how many portions were reached of each lot, and how many there are
    SELECT goods.lot, bool_or(goods.seed) AS seed, bool_and(goods.certain) AS certain,
           count(*) FILTER (WHERE coalesce(goods.quantity, 1) > 0.000001) AS reached
    FROM recall_goods AS goods WHERE goods.recall = wanted GROUP BY goods.lot),
  there AS MATERIALIZED (
    SELECT portion.lot, count(*) AS portions FROM portion
    WHERE portion.lot IN (SELECT of_lot.lot FROM of_lot) AND coalesce(portion.quantity, 1) > 0.000001 GROUP BY portion.lot)
  SELECT wanted, of_lot.lot, of_lot.seed, of_lot.certain AND of_lot.reached = coalesce(there.portions, 0)
  FROM of_lot LEFT JOIN there ON there.lot = of_lot.lot;
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
    -- A claim to have made some of a lot that the product's owner made gives no right to it: theirs, or an official's.
    seeds := ARRAY(SELECT seed FROM unnest(touched) AS seed JOIN portion ON portion.lot = seed.lot AND portion.portion = seed.portion
                   AND portion.maker = current_organisation()
                   WHERE seed.lot NOT IN (
                     SELECT each.lot FROM (SELECT DISTINCT own.lot FROM unnest(touched) AS own) AS each
                     WHERE EXISTS (SELECT FROM product CROSS JOIN unnest(product.classes) AS class (uri) JOIN portion AS theirs
                                     ON theirs.lot = each.lot AND theirs.maker = product.organisation
                                   WHERE product.organisation <> current_organisation()
                                     AND (each.lot = uri OR starts_with(each.lot, uri || '/') OR starts_with(each.lot, uri || '.')))
                       AND NOT EXISTS (SELECT FROM product CROSS JOIN unnest(product.classes) AS class (uri)
                                       WHERE product.organisation = current_organisation()
                                         AND (each.lot = uri OR starts_with(each.lot, uri || '/') OR starts_with(each.lot, uri || '.')))));
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
    -- Recorded, but not followed: by the asker, or for whoever oversees.
    'named', cardinality(touched) = 0 AND EXISTS (
      SELECT FROM event_mention AS mention JOIN event ON event.id = mention.event
      WHERE mention.identifier = ask ->> 'id' AND (event.organisation = current_organisation() OR office IS NOT NULL)),
    'not_followed', (SELECT count(DISTINCT mention.event) FROM set_aside JOIN leaf ON leaf.position = set_aside.position
      JOIN event_mention AS mention ON mention.event = leaf.event JOIN recall_lot AS of_lot ON of_lot.recall = wanted AND of_lot.lot = mention.identifier
      WHERE set_aside.position > 0 AND set_aside.part IN ('event', 'presence')),
    -- Of lots that the asker knows of: how many others were at a place is nobody's to ask.
    'refused', (SELECT count(*) FROM (SELECT DISTINCT each.lot FROM unnest(touched) AS each) AS other
                WHERE other.lot NOT IN (SELECT seed.lot FROM unnest(seeds) AS seed)
                  AND EXISTS (SELECT FROM asker_mention WHERE asker_mention.identifier = other.lot)));
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
        WHERE NOT of_lot.whole AND goods.state IN ('held', 'returned') AND coalesce(goods.quantity, 1) > 0.000001
        UNION ALL   -- made since of such goods, or of what was taken from them since, by who did not keep them apart
        SELECT made.lot, made.portion, made.inside[1], of_lot.recall
        FROM portion AS made JOIN portion AS used ON used.used_in = made.run
        JOIN recall_lot AS of_lot ON of_lot.lot = used.lot AND NOT of_lot.whole JOIN recall AS said ON said.id = of_lot.recall
        CROSS JOIN LATERAL (
          WITH RECURSIVE line AS (
            SELECT used.portion, used.origin, used.began, NULL::timestamptz AS taken
            UNION ALL
            SELECT whole.portion, whole.origin, whole.began, line.began FROM line JOIN portion AS whole ON whole.lot = used.lot AND whole.portion = line.origin)
          SELECT line.portion, line.taken FROM line) AS behind
        JOIN recall_goods AS goods ON goods.recall = of_lot.recall AND goods.lot = used.lot AND goods.portion = behind.portion
          AND goods.state IN ('held', 'returned') AND coalesce(behind.taken, said.ordered_at) >= said.ordered_at
        WHERE made.state IN ('held', 'returned')) AS named
  JOIN recall_known AS known ON known.id = named.recall AND NOT known.drill AND known.state <> 'withdrawn';
GRANT SELECT ON published_recall TO suyuan_public, suyuan_api;
GRANT SELECT ON asker_recall TO suyuan_api;

-- What it reached at the order, summed. Who may not be named to the asker has neither name nor place.
CREATE FUNCTION recall_reached(wanted uuid)
  RETURNS TABLE (lot text, whole boolean, seed boolean, certain boolean, state text, keeper text, party text, hidden boolean, place text,
                 kilograms float8, boxes float8, portions bigint, units bigint, unknown bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH summed AS MATERIALIZED (   -- by unit first: they are counted without a sort
    SELECT each.lot, bool_or(each.seed) AS seed, each.certain, each.state, each.keeper, each.holder, each.place, sum(each.kilograms) AS kilograms,
           sum(each.boxes) AS boxes, sum(each.portions) AS portions, count(each.unit) AS units, sum(each.unknown) AS unknown
    FROM (SELECT goods.lot, bool_or(goods.seed) AS seed, goods.certain, goods.state, goods.keeper, goods.holder, goods.place, goods.unit,
                 sum(goods.kilograms) AS kilograms, sum(goods.quantity) FILTER (WHERE goods.uom IS NULL) AS boxes, count(*) AS portions,
                 count(*) FILTER (WHERE goods.kilograms IS NULL) AS unknown
          FROM recall_goods AS goods
          WHERE goods.recall = wanted AND coalesce(goods.quantity, 1) > 0.000001 AND (SELECT recall_right(wanted)) IN ('ordered', 'overseen')
          GROUP BY 1, 3, 4, 5, 6, 7, 8) AS each
    GROUP BY 1, 3, 4, 5, 6, 7),
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

-- Load units with goods of it, of holders that may be named; to who was told, their own.
CREATE FUNCTION recall_units(wanted uuid, beyond text, most integer)
  RETURNS TABLE (unit text, lots text[], keeper text, place text, kilograms float8, boxes float8, certain boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT goods.unit, array_agg(DISTINCT goods.lot), min(goods.keeper), min(goods.place), sum(goods.kilograms),
         sum(goods.quantity) FILTER (WHERE goods.uom IS NULL), bool_and(goods.certain)
  FROM recall_goods AS goods
  WHERE goods.recall = wanted AND goods.unit > beyond AND goods.state IN ('held', 'returned') AND coalesce(goods.quantity, 1) > 0.000001
    AND (SELECT recall_right(wanted)) IS NOT NULL
    AND ((SELECT recall_right(wanted)) <> 'told' AND (goods.keeper IS NULL OR goods.keeper IN (SELECT seen.id FROM asker_organisation AS seen))
      OR (SELECT recall_right(wanted)) = 'told' AND goods.keeper = (SELECT current_organisation()))
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

-- What it reached, as it stands now: with what was taken from it since. `had`: who had it at the order, `was` in which state; what
-- cannot be found again, since later records tell it otherwise, is lost.
CREATE FUNCTION recall_now(wanted uuid)
  RETURNS TABLE (had text, had_party text, was text, state text, keeper text, place text, said_by bigint, since timestamptz,
                 quantity float8, uom text, kilograms float8, held_by text[], held_at timestamptz[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH RECURSIVE there AS MATERIALIZED (
    SELECT portion.*, goods.recall IS NOT NULL AS known, goods.keeper AS had, goods.holder AS had_party, goods.state AS was, goods.since AS of_it
    FROM portion LEFT JOIN recall_goods AS goods ON goods.recall = wanted AND goods.lot = portion.lot AND goods.portion = portion.portion
    WHERE portion.lot IN (SELECT of_lot.lot FROM recall_lot AS of_lot WHERE of_lot.recall = wanted)),
  fresh AS MATERIALIZED (SELECT there.lot, there.portion, there.origin, there.began FROM there WHERE NOT there.known AND there.origin IS NOT NULL),
  taken AS (
    SELECT fresh.lot, fresh.portion, there.had, there.had_party, there.was
    FROM fresh JOIN there ON there.lot = fresh.lot AND there.portion = fresh.origin AND there.known AND fresh.began >= there.of_it
    UNION
    SELECT fresh.lot, fresh.portion, taken.had, taken.had_party, taken.was FROM taken JOIN fresh ON fresh.lot = taken.lot AND fresh.origin = taken.portion)
  SELECT there.had, there.had_party, there.was, there.state, there.keeper, there.place, there.said_by, there.since, there.quantity, there.uom,
         there.kilograms, there.held_by, there.held_at
  FROM there WHERE there.known AND coalesce(there.quantity, 1) > 0.000001
  UNION ALL
  SELECT taken.had, taken.had_party, taken.was, there.state, there.keeper, there.place, there.said_by, there.since, there.quantity, there.uom,
         there.kilograms, there.held_by, there.held_at
  FROM taken JOIN there ON there.lot = taken.lot AND there.portion = taken.portion AND coalesce(there.quantity, 1) > 0.000001
  UNION ALL
  SELECT goods.keeper, goods.holder, goods.state, 'lost', NULL, NULL, NULL, goods.since, goods.quantity, goods.uom, goods.kilograms, '{}', '{}'
  FROM recall_goods AS goods
  WHERE goods.recall = wanted AND coalesce(goods.quantity, 1) > 0.000001
    AND (goods.lot, goods.portion) NOT IN (SELECT there.lot, there.portion FROM there WHERE there.known)
$$;

-- What became of it. ended: by the event that says so; its name and witness only to who may see it, the county and the proof of a
-- destruction to whoever ordered or oversees the recall; dispersed is to buyers nobody knows. progress: of what each holder had at the
-- order, where it is now; acknowledged: when it first said something of it for the recall. Who may not be named is one of the hidden;
-- a holder that was told sees itself and nothing else.
-- `fresh`: it was ordered in this transaction, and all stands as it was reached.
CREATE FUNCTION recall_followed(wanted uuid, fresh boolean) RETURNS TABLE (ended jsonb, progress jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH asked AS MATERIALIZED (SELECT recall_right(wanted) AS why, recall.ordered_at FROM recall WHERE recall.id = wanted),
  mine AS MATERIALIZED (
    SELECT now_is.had, CASE WHEN now_is.had IS NULL THEN now_is.had_party END AS had_party, now_is.was IN ('held', 'returned') AS was_there, now_is.state,
           CASE WHEN now_is.state = 'held' AND now_is.keeper IS DISTINCT FROM now_is.had THEN 'passed_on'
                WHEN now_is.state = 'held' AND held.at IS NOT NULL THEN 'held'
                WHEN now_is.state = 'held' THEN 'out' ELSE now_is.state END AS now_state,
           now_is.keeper, now_is.place, now_is.said_by, min(now_is.since) AS at,
           min(least(held.at, CASE WHEN now_is.state IN ('returned', 'destroyed') AND now_is.since >= asked.ordered_at THEN now_is.since END)) AS acknowledged,
           sum(now_is.kilograms) AS kilograms, sum(now_is.quantity) FILTER (WHERE now_is.uom IS NULL) AS boxes,
           count(*) FILTER (WHERE now_is.kilograms IS NULL) AS unknown
    FROM asked CROSS JOIN (
      SELECT * FROM recall_now(wanted) WHERE NOT fresh
      UNION ALL
      SELECT goods.keeper, goods.holder, goods.state, goods.state, goods.keeper, goods.place, goods.said_by, goods.at, goods.quantity, goods.uom,
             goods.kilograms, '{}', '{}'
      FROM recall_goods AS goods WHERE fresh AND goods.recall = wanted AND coalesce(goods.quantity, 1) > 0.000001) AS now_is
    CROSS JOIN LATERAL (SELECT CASE WHEN now_is.held_by <> '{}' THEN (
      SELECT min(said.at) FROM unnest(now_is.held_by, now_is.held_at) AS said (who, at) WHERE said.who = now_is.had AND said.at >= asked.ordered_at) END AS at) AS held
    WHERE asked.why IN ('ordered', 'overseen') OR (asked.why = 'told' AND now_is.had = current_organisation())
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8),
  named AS MATERIALIZED (
    SELECT each.id FROM asker_organisation AS each WHERE each.id IN (SELECT mine.keeper FROM mine UNION SELECT mine.had FROM mine)),
  met AS MATERIALIZED (
    SELECT DISTINCT mine.had_party FROM mine WHERE mine.had_party IS NOT NULL AND (EXISTS (SELECT FROM asker_scope()) OR EXISTS (
      SELECT FROM event_party AS party JOIN event ON event.id = party.event
      WHERE party.organisation = mine.had_party AND event.organisation = current_organisation()))),
  ending AS MATERIALIZED (
    SELECT mine.state, mine.said_by, min(mine.at) AS at, mine.keeper, mine.place, sum(mine.kilograms) AS kilograms, sum(mine.boxes) AS boxes
    FROM asked CROSS JOIN mine WHERE mine.state IN ('dispersed', 'destroyed', 'returned', 'sampled', 'gone') AND asked.why <> 'told'
    GROUP BY mine.state, mine.said_by, mine.keeper, mine.place),
  seen AS MATERIALIZED (SELECT shown.event FROM shown_events(ARRAY(SELECT ending.said_by FROM ending WHERE ending.said_by IS NOT NULL)) AS shown WHERE shown.why <> 'published'),
  told AS (
    SELECT mine.*, mine.had IS NOT NULL AND mine.had NOT IN (SELECT named.id FROM named)
                OR mine.had_party IS NOT NULL AND mine.had_party NOT IN (SELECT met.had_party FROM met) AS hidden
    FROM mine WHERE mine.was_there),
  steps AS (
    SELECT CASE WHEN NOT told.hidden THEN told.had END AS keeper, CASE WHEN NOT told.hidden THEN told.had_party END AS party, told.hidden,
           count(DISTINCT coalesce(told.had, told.had_party, '')) AS holders, CASE WHEN NOT told.hidden THEN min(told.acknowledged) END AS acknowledged,
           told.now_state AS state, sum(told.kilograms) AS kilograms, sum(told.boxes) AS boxes, sum(told.unknown) AS unknown
    FROM told GROUP BY 1, 2, told.hidden, told.now_state)
  SELECT (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'state', ending.state, 'event', CASE WHEN seen.event IS NOT NULL THEN event.event_id END, 'at', ending.at,
            'by', CASE WHEN named.id IS NOT NULL THEN ending.keeper END,
            'place', CASE WHEN named.id IS NOT NULL OR seen.event IS NOT NULL THEN ending.place END,
            'region', (SELECT left(ground.region, 6) FROM ground WHERE ground.id IN (ending.place, split_part(ending.place, '/254/', 1)) LIMIT 1),
            'kilograms', ending.kilograms, 'boxes', ending.boxes, 'shown', seen.event IS NOT NULL,
            'papers', coalesce(CASE WHEN seen.event IS NOT NULL THEN said.body -> 'bizTransactionList'
              WHEN ending.state = 'destroyed' THEN jsonb_path_query_array(said.body, '$.bizTransactionList[*] ? (@.type like_regex "(^|[:/-])(recall_notice|cert)$")') END, '[]'),
            'witness', CASE WHEN seen.event IS NOT NULL THEN said.body -> 'suyuan:witness' END) ORDER BY ending.at, ending.said_by, ending.place), '[]')
          FROM ending LEFT JOIN event ON event.id = ending.said_by LEFT JOIN seen ON seen.event = ending.said_by LEFT JOIN named ON named.id = ending.keeper
          LEFT JOIN LATERAL (SELECT convert_from(event_bytes.bytes, 'UTF8')::jsonb AS body FROM event_bytes WHERE event_bytes.event = ending.said_by) AS said ON true),
         (SELECT coalesce(jsonb_agg(to_jsonb(steps) ORDER BY steps.hidden, steps.keeper, steps.party, steps.state), '[]') FROM steps)
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
         (SELECT sha256(convert_to(string_agg(goods.portion || ' ' || goods.lot, E'\n' ORDER BY goods.portion, goods.lot), 'UTF8'))
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

REVOKE EXECUTE ON FUNCTION recall_spells, recall_seed, recall_doubts, recall_write, recall_sum, recall_order, recall_right, recall_reached,
  recall_units, recall_runs, recall_now, recall_followed, recall_told, recall_said, recall_sealed, recall_notify, recall_close FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recall_order, recall_right, recall_reached, recall_units, recall_runs, recall_followed, recall_told, recall_said,
  recall_sealed, recall_notify, recall_close TO suyuan_api;

-- What was projected before has no rows here yet: it is followed once more, to the same.
DELETE FROM projection WHERE name = 'portions';
