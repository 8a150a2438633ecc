-- Recalls that reach a hundred thousand units. The rows of a recall were written a moment ago and nobody has counted them: the planner
-- takes them for a handful and sorts them on disk. Sums that read nothing else are hashed (`enable_sort` off); all fit in memory.

-- The seeds, what was taken from them since, and all that runs made of it; what a run made is of it whole. What is there already is not
-- written again. Nothing is asked row by row of the array of seeds, which may be as long as what is reached; the rows come once, and in
-- the order of the key, which is then appended to.
CREATE OR REPLACE FUNCTION recall_write(wanted uuid, seeds portion_seed[], sure boolean) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET work_mem = '64MB' AS $$
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
  own AS MATERIALIZED (
    SELECT each.lot, each.portion, bool_or(each.seed) AS seed, min(each.since) AS since
    FROM (SELECT near.lot, near.portion, near.since, false AS seed FROM near
          UNION ALL SELECT seed.lot, seed.portion, seed.since, true FROM unnest(seeds) AS seed) AS each
    GROUP BY each.lot, each.portion),
  reached AS (
    SELECT false AS seed, '-infinity'::timestamptz AS of_it, made.* FROM ran JOIN portion AS made ON made.run = ran.run
    UNION ALL
    SELECT own.seed, CASE WHEN mine.run IN (SELECT ran.run FROM ran) THEN '-infinity' ELSE own.since END, mine.*
    FROM own JOIN portion AS mine ON mine.lot = own.lot AND mine.portion = own.portion)
  INSERT INTO recall_goods (recall, lot, portion, seed, certain, since, state, keeper, holder, place, unit, quantity, uom, kilograms, said_by, at)
  SELECT DISTINCT ON (reached.portion, reached.lot) wanted, reached.lot, reached.portion, sure AND reached.seed, sure, reached.of_it, reached.state,
         reached.keeper, reached.holder, reached.place, reached.inside[1], reached.quantity, reached.uom, reached.kilograms, reached.said_by,
         reached.since
  FROM reached
  WHERE NOT EXISTS (SELECT FROM recall_goods AS goods
                    WHERE goods.recall = wanted AND goods.portion = reached.portion AND goods.lot = reached.lot)
  ORDER BY reached.portion, reached.lot, reached.seed DESC
$$;

-- By lot and by holder, once all is reached.
CREATE OR REPLACE FUNCTION recall_sum(wanted uuid) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET work_mem = '64MB' SET enable_sort = off AS $$
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
  WITH had AS MATERIALIZED (   -- by unit first: they are counted without a sort
    SELECT coalesce(goods.keeper, '') AS keeper, CASE WHEN goods.keeper IS NULL THEN coalesce(goods.holder, '') ELSE '' END AS party, goods.lot,
           goods.unit, bool_or(goods.state <> 'dispersed') AS there, sum(goods.kilograms) FILTER (WHERE goods.state <> 'dispersed') AS kilograms,
           sum(goods.quantity) FILTER (WHERE goods.state <> 'dispersed' AND goods.uom IS NULL) AS boxes,
           sum(goods.kilograms) FILTER (WHERE goods.state = 'dispersed') AS sold_kg
    FROM recall_goods AS goods
    WHERE goods.recall = wanted AND goods.state IN ('held', 'returned', 'dispersed') AND coalesce(goods.quantity, 1) > 0.000001
    GROUP BY 1, 2, 3, 4),
  of_lot AS MATERIALIZED (
    SELECT had.keeper, had.party, had.lot, sum(had.kilograms) AS kilograms, sum(had.boxes) AS boxes, sum(had.sold_kg) AS sold_kg
    FROM had GROUP BY 1, 2, 3),
  counted AS (
    SELECT each.keeper, each.party, count(*) AS units
    FROM (SELECT DISTINCT had.keeper, had.party, had.unit FROM had WHERE had.there AND had.unit IS NOT NULL) AS each GROUP BY 1, 2),
  summed AS (
    SELECT of_lot.keeper, of_lot.party, coalesce(sum(of_lot.kilograms), 0) AS kilograms, coalesce(sum(of_lot.boxes), 0) AS boxes,
           coalesce(sum(of_lot.sold_kg), 0) AS sold_kg, array_agg(of_lot.lot ORDER BY of_lot.lot) AS lots
    FROM of_lot GROUP BY 1, 2)
  SELECT wanted, summed.keeper, summed.party, summed.kilograms, summed.boxes, coalesce(counted.units, 0), summed.sold_kg, summed.lots
  FROM summed LEFT JOIN counted USING (keeper, party);
$$;

-- What it reached at the order, by where and in which state it was. No service calls it.
CREATE FUNCTION recall_summed(wanted uuid)
  RETURNS TABLE (lot text, seed boolean, certain boolean, state text, keeper text, holder text, place text,
                 kilograms float8, boxes float8, portions numeric, units bigint, unknown numeric)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET work_mem = '64MB' SET enable_sort = off AS $$
  -- by unit first: they are counted without a sort
  SELECT each.lot, bool_or(each.seed), each.certain, each.state, each.keeper, each.holder, each.place, sum(each.kilograms), sum(each.boxes),
         sum(each.portions), count(each.unit), sum(each.unknown)
  FROM (SELECT goods.lot, bool_or(goods.seed) AS seed, goods.certain, goods.state, goods.keeper, goods.holder, goods.place, goods.unit,
               sum(goods.kilograms) AS kilograms, sum(goods.quantity) FILTER (WHERE goods.uom IS NULL) AS boxes, count(*) AS portions,
               count(*) FILTER (WHERE goods.kilograms IS NULL) AS unknown
        FROM recall_goods AS goods WHERE goods.recall = wanted AND coalesce(goods.quantity, 1) > 0.000001
        GROUP BY 1, 3, 4, 5, 6, 7, 8) AS each
  GROUP BY 1, 3, 4, 5, 6, 7
$$;
REVOKE EXECUTE ON FUNCTION recall_summed FROM PUBLIC;

-- What it reached at the order, summed. Who may not be named to the asker has neither name nor place.
CREATE OR REPLACE FUNCTION recall_reached(wanted uuid)
  RETURNS TABLE (lot text, whole boolean, seed boolean, certain boolean, state text, keeper text, party text, hidden boolean, place text,
                 kilograms float8, boxes float8, portions bigint, units bigint, unknown bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH summed AS MATERIALIZED (SELECT each.* FROM recall_summed(wanted) AS each WHERE (SELECT recall_right(wanted)) IN ('ordered', 'overseen')),
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

ALTER FUNCTION recall_followed SET work_mem = '64MB';
ALTER FUNCTION recall_units SET work_mem = '64MB';
ALTER FUNCTION recall_said SET work_mem = '64MB';
