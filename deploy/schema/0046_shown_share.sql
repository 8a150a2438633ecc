-- The share of a mixed lot that the shopper's page tells is made of what the share in the recall's document is made of.

-- Whether a lot was touched by what a recall that shoppers see was asked from, and not by what was made of it alone.
CREATE FUNCTION published_recall_seed(wanted uuid, of_lot text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM recall_lot AS reached JOIN recall_known AS known ON known.id = reached.recall
                 WHERE reached.recall = wanted AND reached.lot = of_lot AND reached.seed AND NOT known.drill AND known.state <> 'withdrawn')
$$;

-- The runs behind one lot that such a recall reached: what went into them, as parts of all that went into them, and how much of that was
-- reached (recall_runs). Runs are numbered and what was not reached has no name: nobody's weights and suppliers are told. `seed`: of the
-- input. Nothing of a lot that was made since the order: how much of that is concerned is not told.
CREATE FUNCTION published_recall_runs(wanted uuid, of_lot text)
  RETURNS TABLE (run bigint, lot text, part float8, reached float8, seed boolean, outputs text[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH RECURSIVE behind AS (
    SELECT came.run, came.lot
    FROM recall_known AS known JOIN recall_lot AS asked ON asked.recall = known.id AND asked.lot = of_lot AND NOT asked.seed
    JOIN run_goods AS came ON came.lot = of_lot AND came.output
    WHERE known.id = wanted AND NOT known.drill AND known.state <> 'withdrawn'
    UNION
    SELECT came.run, came.lot
    FROM behind JOIN run_goods AS went ON went.run = behind.run AND NOT went.output
    JOIN recall_lot AS reached ON reached.recall = wanted AND reached.lot = went.lot AND NOT reached.seed
    JOIN run_goods AS came ON came.lot = went.lot AND came.output),
  used AS MATERIALIZED (
    SELECT portion.used_in AS run, goods.lot, sum(goods.kilograms) AS kilograms
    FROM portion JOIN recall_goods AS goods ON goods.recall = wanted AND goods.lot = portion.lot AND goods.portion = portion.portion
    WHERE portion.used_in IN (SELECT behind.run FROM behind) AND goods.state = 'used' AND goods.certain
    GROUP BY 1, 2),
  went AS MATERIALIZED (
    SELECT gone.run, gone.lot, gone.kilograms, used.kilograms AS reached, used.lot IS NOT NULL AS named
    FROM run_goods AS gone LEFT JOIN used ON used.run = gone.run AND used.lot = gone.lot
    WHERE gone.run IN (SELECT used.run FROM used) AND NOT gone.output),
  total AS (SELECT nullif(sum(went.kilograms), 0) AS kilograms FROM went)
  SELECT dense_rank() OVER (ORDER BY went.run), CASE WHEN went.named THEN went.lot ELSE '' END, went.kilograms / total.kilograms,
         went.reached / total.kilograms, coalesce(reached.seed, false),
         ARRAY(SELECT DISTINCT behind.lot FROM behind WHERE behind.run = went.run)
  FROM went CROSS JOIN total LEFT JOIN recall_lot AS reached ON reached.recall = wanted AND reached.lot = went.lot AND went.named
$$;
REVOKE EXECUTE ON FUNCTION published_recall_seed, published_recall_runs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION published_recall_seed, published_recall_runs TO suyuan_public, suyuan_api;
