-- Who may recall what, by whose record is the oldest; what a claim to have made another's lot cannot do; and what became of an order
-- once the records it rests on were corrected.

-- Whose name a lot bears: who registered the product, or in whose own addresses the name is (`base`: of this instance, null: not asked).
CREATE FUNCTION lot_owners(wanted text[], base text) RETURNS TABLE (lot text, organisation text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT each.lot, product.organisation
  FROM unnest(wanted) AS each (lot) JOIN (product CROSS JOIN unnest(product.classes) AS class (uri))
    ON each.lot = class.uri OR starts_with(each.lot, class.uri || '/') OR starts_with(each.lot, class.uri || '.')
  UNION
  SELECT each.lot, own.id
  FROM unnest(wanted) AS each (lot) JOIN organisation AS own ON starts_with(each.lot, rtrim(base, '/') || '/' || own.id || '/class/')
$$;

-- Whether the oldest record of a lot is that organisation's, or names it as the giver. What somebody else took back does not count.
CREATE FUNCTION is_first_of(wanted text, claimant text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce((
    SELECT event.organisation = claimant
           OR EXISTS (SELECT FROM event_party AS party WHERE party.event = event.id AND party.organisation = claimant AND party.part = 'source')
    FROM event_mention AS mention JOIN event ON event.id = mention.event
    WHERE mention.identifier = wanted AND NOT event.is_error
      AND (event.organisation = claimant OR NOT is_taken_back(event.organisation, event.id))
    ORDER BY mention.event LIMIT 1), true)
$$;

-- Whether that organisation made the lot, by what is recorded: nobody else made some of it under a name of their own; the oldest record
-- is its own or names it; and where several say that they made some, it did not make all of its part at places of others.
CREATE FUNCTION made_first(wanted text, claimant text, base text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT is_first_of(wanted, claimant)
     AND NOT EXISTS (SELECT FROM lot_owners(ARRAY[wanted], base) AS own JOIN lot_making AS theirs ON theirs.lot = wanted AND theirs.organisation = own.organisation
                     WHERE own.organisation <> claimant)
     AND NOT (EXISTS (SELECT FROM lot_making AS other WHERE other.lot = wanted AND other.organisation <> claimant)
              AND coalesce((SELECT bool_and(site.organisation IS NOT NULL AND site.organisation <> claimant)
                            FROM lot_making AS mine
                            LEFT JOIN LATERAL (SELECT place.organisation FROM place WHERE place.id IN (mine.place, split_part(mine.place, '/254/', 1))
                                               ORDER BY length(place.id) DESC LIMIT 1) AS site ON true
                            WHERE mine.lot = wanted AND mine.organisation = claimant), false))
$$;

-- Of lots that several say they made: whose word does not count, since another bears the name or was first.
CREATE FUNCTION disputed_claims(wanted text[], base text) RETURNS TABLE (lot text, organisation text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH several AS MATERIALIZED (
    SELECT making.lot, making.organisation FROM lot_making AS making
    WHERE making.lot IN (SELECT other.lot FROM lot_making AS other WHERE other.lot = ANY (wanted) GROUP BY other.lot
                         HAVING min(other.organisation) <> max(other.organisation))
    GROUP BY 1, 2),
  named AS MATERIALIZED (
    SELECT several.lot, several.organisation, EXISTS (
      SELECT FROM lot_owners(ARRAY[several.lot], base) AS own WHERE own.organisation = several.organisation) AS owns FROM several),
  judged AS MATERIALIZED (
    SELECT named.lot, named.organisation,
           CASE WHEN bool_or(named.owns) OVER (PARTITION BY named.lot) THEN named.owns ELSE made_first(named.lot, named.organisation, base) END AS counts
    FROM named)
  SELECT judged.lot, judged.organisation FROM judged
  WHERE NOT judged.counts AND EXISTS (SELECT FROM judged AS other WHERE other.lot = judged.lot AND other.counts)
$$;

-- What seeds come to by the records as they stand, without what `disputed` says ("lot, line feed, organisation") that runs made.
CREATE FUNCTION recall_walk(seeds portion_seed[], disputed text[]) RETURNS SETOF portion_seed
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
    SELECT made.used_in FROM ran JOIN portion AS made ON made.run = ran.run
    WHERE made.used_in IS NOT NULL AND coalesce(made.lot || E'\n' || made.maker <> ALL (disputed), true))
  SELECT made.lot, made.portion, '-infinity'::timestamptz FROM ran JOIN portion AS made ON made.run = ran.run
  WHERE coalesce(made.lot || E'\n' || made.maker <> ALL (disputed), true)
  UNION
  SELECT near.lot, near.portion, min(near.since) FROM near GROUP BY near.lot, near.portion
$$;

CREATE FUNCTION recall_write_but(wanted uuid, seeds portion_seed[], sure boolean, disputed text[]) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO recall_goods (recall, lot, portion, seed, certain, since, state, keeper, holder, place, unit, quantity, uom, kilograms, said_by, at)
  SELECT wanted, mine.lot, mine.portion, sure AND (mine.lot, mine.portion) IN (SELECT seed.lot, seed.portion FROM unnest(seeds) AS seed), sure,
         found.since, mine.state, mine.keeper, mine.holder, mine.place, mine.inside[1], mine.quantity, mine.uom, mine.kilograms, mine.said_by, mine.since
  FROM (SELECT walk.lot, walk.portion, min(walk.since) AS since FROM recall_walk(seeds, disputed) AS walk GROUP BY walk.lot, walk.portion) AS found
  JOIN portion AS mine ON mine.lot = found.lot AND mine.portion = found.portion
  ON CONFLICT DO NOTHING
$$;

-- The doubts of an order, but for what somebody else made of a lot of which the order reaches its author's own part only (`shared`).
CREATE FUNCTION recall_own_doubts(wanted uuid, shared text[], disputed text[]) RETURNS SETOF portion_seed
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT doubt.* FROM recall_doubts(wanted) AS doubt
  WHERE cardinality(shared) + cardinality(disputed) = 0 OR EXISTS (
    SELECT FROM portion WHERE portion.lot = doubt.lot AND portion.portion = doubt.portion
      AND (portion.lot <> ALL (shared) OR portion.maker = current_organisation())
      AND coalesce(portion.lot || E'\n' || portion.maker <> ALL (disputed), true))
$$;

-- The order, with all it reaches at this moment. An organisation recalls lots that bear a name of its own, whoever made them, and what it
-- made of others if its record of them is the oldest; an official what is of their area and department. What else the question touched
-- is counted as refused, and where the records contradict each other the lots are named: `contested` (the asker says it made some and
-- does not recall it), `shared` (only the asker's own part is reached), `disputed` (runs are said to have made them, by whose word does
-- not count). {"touched", "seeds", "refused"}: with no seeds nothing stays. `base`: of this instance's addresses. `kept`: else it is taken back, and
-- has number 0.
-- Numbers without a hole: what is only looked at takes none.
ALTER TABLE recall ALTER COLUMN number DROP IDENTITY;
CREATE UNIQUE INDEX recall_number ON recall (number) WHERE number > 0;
DROP FUNCTION recall_order(uuid, jsonb, boolean, smallint, text, text, text, timestamptz);
CREATE FUNCTION recall_order(wanted uuid, ask jsonb, for_drill boolean, of_level smallint, zh text, en text, basis text, at timestamptz,
  base text DEFAULT NULL, kept boolean DEFAULT true)
  RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  us CONSTANT text := current_organisation();
  office CONSTANT text := (SELECT department FROM user_account WHERE id = current_account() AND disabled_at IS NULL AND 'official' = ANY (roles));
  touched portion_seed[] := ARRAY(SELECT seed FROM recall_seed(ask) AS seed);
  lots text[] := ARRAY(SELECT DISTINCT each.lot FROM unnest(touched) AS each);
  owned text[] := '{}';
  claimed text[] := '{}';
  first text[] := '{}';
  shared text[] := '{}';
  disputed text[] := '{}';
  seeds portion_seed[];
  doubts portion_seed[];
BEGIN
  IF us IS NULL AND office IS NULL THEN
    RAISE EXCEPTION 'recalls are ordered by who made the goods, and by officials' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF office IS NULL THEN
    owned := ARRAY(SELECT own.lot FROM lot_owners(lots, base) AS own WHERE own.organisation = us);
    claimed := ARRAY(SELECT each.lot FROM unnest(lots) AS each (lot) WHERE each.lot <> ALL (owned)
                     AND EXISTS (SELECT FROM portion WHERE portion.lot = each.lot AND portion.maker = us));
    first := ARRAY(SELECT each.lot FROM unnest(claimed) AS each (lot) WHERE made_first(each.lot, us, base));
    shared := ARRAY(SELECT each.lot FROM unnest(first) AS each (lot)
                    WHERE EXISTS (SELECT FROM lot_making AS other WHERE other.lot = each.lot AND other.organisation <> us));
    seeds := ARRAY(SELECT seed FROM unnest(touched) AS seed JOIN portion ON portion.lot = seed.lot AND portion.portion = seed.portion
                   WHERE seed.lot = ANY (owned) OR (portion.maker = us AND seed.lot = ANY (first)));
  ELSE
    seeds := ARRAY(SELECT seed FROM unnest(touched) AS seed WHERE seed.lot IN (SELECT own.lot FROM official_lots(lots) AS own));
  END IF;
  IF cardinality(seeds) > 0 THEN
    IF kept THEN
      PERFORM pg_advisory_xact_lock(hashtextextended('recall number', 0));
    END IF;
    INSERT INTO recall (id, number, organisation, account, department, drill, ask, level, reason_zh, reason_en, legal_basis, ordered_at, begin_by, known_to)
    SELECT wanted, CASE WHEN kept THEN (SELECT coalesce(max(before.number), 0) + 1 FROM recall AS before) ELSE 0 END,
           CASE WHEN office IS NULL THEN us END, current_account(), office, for_drill, ask, of_level, zh, en, basis, at,
           at + level.hours * INTERVAL '1 hour', coalesce((SELECT position FROM projection WHERE name = 'portions'), 0)
    FROM recall_level AS level WHERE level.level = of_level;
    BEGIN
      PERFORM recall_write(wanted, seeds, true);
      LOOP
        doubts := ARRAY(SELECT doubt FROM recall_own_doubts(wanted, shared, disputed) AS doubt);
        EXIT WHEN cardinality(doubts) = 0;
        PERFORM recall_write(wanted, doubts, false);
      END LOOP;
      PERFORM recall_sum(wanted);
      disputed := ARRAY(SELECT claim.lot || E'\n' || claim.organisation
                        FROM disputed_claims(ARRAY(SELECT of_lot.lot FROM recall_lot AS of_lot WHERE of_lot.recall = wanted), base) AS claim
                        WHERE EXISTS (SELECT FROM portion WHERE portion.lot = claim.lot AND portion.maker = claim.organisation AND portion.run IS NOT NULL));
      IF cardinality(disputed) > 0 THEN   -- all that was written goes, and it is walked once more without what they are said to have made
        RAISE EXCEPTION 'disputed' USING ERRCODE = 'SY001';
      END IF;
    EXCEPTION WHEN SQLSTATE 'SY001' THEN
      PERFORM recall_write_but(wanted, seeds, true, disputed);
      LOOP
        doubts := ARRAY(SELECT doubt FROM recall_own_doubts(wanted, shared, disputed) AS doubt);
        EXIT WHEN cardinality(doubts) = 0;
        PERFORM recall_write_but(wanted, doubts, false, disputed);
      END LOOP;
      PERFORM recall_sum(wanted);
    END;
  END IF;
  RETURN jsonb_build_object('touched', cardinality(touched), 'seeds', cardinality(seeds),
    -- Recorded, but not followed: by the asker, or for whoever oversees.
    'named', cardinality(touched) = 0 AND EXISTS (
      SELECT FROM event_mention AS mention JOIN event ON event.id = mention.event
      WHERE mention.identifier = ask ->> 'id' AND (event.organisation = us OR office IS NOT NULL)),
    'not_followed', (SELECT count(DISTINCT mention.event) FROM set_aside JOIN leaf ON leaf.position = set_aside.position
      JOIN event_mention AS mention ON mention.event = leaf.event JOIN recall_lot AS of_lot ON of_lot.recall = wanted AND of_lot.lot = mention.identifier
      WHERE set_aside.position > 0 AND set_aside.part IN ('event', 'presence')),
    'contested', (SELECT coalesce(jsonb_agg(each.lot ORDER BY each.lot), '[]') FROM unnest(claimed) AS each (lot) WHERE each.lot <> ALL (first)),
    'shared', to_jsonb(shared),
    'disputed', (SELECT coalesce(jsonb_agg(DISTINCT split_part(each.claim, E'\n', 1)), '[]') FROM unnest(disputed) AS each (claim)),
    -- Of lots that the asker knows of: how many others were at a place is nobody's to ask.
    'refused', (SELECT count(*) FROM unnest(lots) AS other (lot)
                WHERE other.lot NOT IN (SELECT seed.lot FROM unnest(seeds) AS seed)
                  AND EXISTS (SELECT FROM asker_mention WHERE asker_mention.identifier = other.lot)));
END
$$;

-- Whether `source` is behind a lot: as lot_origin says it, but not by way of a run whose author's word on the lot it made does not count.
CREATE FUNCTION is_made_of(wanted text, origin text) RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  disputed text[];
BEGIN
  IF wanted = origin THEN
    RETURN true;
  END IF;
  disputed := ARRAY(SELECT claim.lot || E'\n' || claim.organisation FROM disputed_claims(
    ARRAY(SELECT DISTINCT behind.source FROM lot_origin AS behind WHERE behind.lot = wanted), NULL) AS claim);
  RETURN cardinality(disputed) = 0 OR EXISTS (
    WITH RECURSIVE behind AS (
      SELECT wanted AS lot
      UNION
      SELECT went.lot FROM behind JOIN lot_making AS making ON making.lot = behind.lot AND making.run IS NOT NULL
      JOIN run_goods AS went ON went.run = making.run AND NOT went.output
      WHERE making.lot || E'\n' || making.organisation <> ALL (disputed))
    SELECT FROM behind WHERE behind.lot = origin);
END
$$;
CREATE FUNCTION is_disputed(wanted text, claimant text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM disputed_claims(ARRAY[wanted], NULL) AS claim WHERE claim.organisation = claimant)
$$;

-- As before, without what only a disputed word makes of recalled goods.
CREATE OR REPLACE VIEW published_recall WITH (security_barrier) AS
  SELECT known.id AS recall, named.lot, named.portion, named.unit, known.level, known.reason_zh, known.reason_en, known.issued_at,
         known.organisation, known.by_zh, known.by_en, known.department, known.state
  FROM (SELECT origin.lot, NULL::text AS portion, NULL::text AS unit, of_lot.recall
        FROM lot_origin AS origin JOIN recall_lot AS of_lot ON of_lot.lot = origin.source AND of_lot.whole
        WHERE is_made_of(origin.lot, origin.source)
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
        WHERE made.state IN ('held', 'returned') AND NOT is_disputed(made.lot, made.maker)) AS named
  JOIN recall_known AS known ON known.id = named.recall AND NOT known.drill AND known.state <> 'withdrawn';

CREATE OR REPLACE VIEW published_recall_ended WITH (security_barrier) AS
  SELECT DISTINCT known.id AS recall, named.lot, known.state, known.issued_at, known.closed_at, known.organisation, known.by_zh, known.by_en, known.department
  FROM recall_known AS known
  JOIN (SELECT of_lot.recall, of_lot.lot FROM recall_lot AS of_lot
        UNION ALL
        SELECT of_lot.recall, origin.lot FROM recall_lot AS of_lot JOIN lot_origin AS origin ON origin.source = of_lot.lot
        WHERE of_lot.whole AND is_made_of(origin.lot, origin.source)) AS named
    ON named.recall = known.id
  WHERE NOT known.drill AND known.state <> 'open';

REVOKE EXECUTE ON FUNCTION lot_owners, is_first_of, made_first, disputed_claims, recall_walk, recall_write_but, recall_own_doubts, recall_order,
  is_made_of, is_disputed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recall_order TO suyuan_api;
GRANT EXECUTE ON FUNCTION is_made_of, is_disputed TO suyuan_api, suyuan_public;

-- What became of an order whose records were corrected ------------------------------------------------------------------------

CREATE INDEX event_declared ON event (id) WHERE is_error;

-- What an order would reach by the records as they stand, of the lots that it was given for.
CREATE FUNCTION recall_again(wanted uuid) RETURNS TABLE (lot text, portion text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  said recall := (SELECT recall FROM recall WHERE recall.id = wanted);
  seeds portion_seed[] := ARRAY(
    SELECT ROW(seed.lot, seed.portion, seed.since)::portion_seed FROM recall_seed(said.ask) AS seed
    JOIN recall_lot AS of_lot ON of_lot.recall = wanted AND of_lot.lot = seed.lot AND of_lot.seed
    JOIN portion ON portion.lot = seed.lot AND portion.portion = seed.portion
    WHERE said.organisation IS NULL OR of_lot.whole OR portion.maker IS NULL OR portion.maker = said.organisation);
  disputed text[] := ARRAY(SELECT claim.lot || E'\n' || claim.organisation
                           FROM disputed_claims(ARRAY(SELECT DISTINCT walk.lot FROM recall_walk(seeds, '{}') AS walk), NULL) AS claim);
  found portion_seed[] := ARRAY(SELECT walk FROM recall_walk(seeds, disputed) AS walk);
  doubts portion_seed[];
BEGIN
  LOOP
    doubts := ARRAY(
      SELECT ROW(may.lot, may.portion, '-infinity')::portion_seed
      FROM (SELECT piece.lot, piece.portion, piece.maker
            FROM unnest(found) AS known JOIN portion_maybe AS maybe ON maybe.lot = known.lot AND maybe.source = known.portion
            JOIN portion AS piece ON piece.lot = maybe.lot AND piece.portion = maybe.portion AND piece.began >= known.since
            UNION
            SELECT made.lot, made.portion, made.maker
            FROM (SELECT DISTINCT each.lot FROM unnest(found) AS each) AS known
            JOIN run_goods AS went ON went.lot = known.lot AND NOT went.output AND NOT went.found JOIN portion AS made ON made.run = went.run) AS may
      WHERE (may.lot, may.portion) NOT IN (SELECT known.lot, known.portion FROM unnest(found) AS known)
        AND coalesce(may.lot || E'\n' || may.maker <> ALL (disputed), true));
    EXIT WHEN cardinality(doubts) = 0;
    found := found || doubts || ARRAY(SELECT walk FROM recall_walk(doubts, disputed) AS walk
                                      WHERE (walk.lot, walk.portion) NOT IN (SELECT known.lot, known.portion FROM unnest(found || doubts) AS known));
  END LOOP;
  RETURN QUERY SELECT DISTINCT known.lot, known.portion FROM unnest(found) AS known;
END
$$;

-- As before; and where records that it rests on were declared wrong since, or goods cannot be found again, by the records as they now
-- stand: what is there under another name is told as it is; `not_reached`: there, but no longer of what is recalled; `besides`: reached
-- now, and not by the order; lost: nowhere in the record.
CREATE OR REPLACE FUNCTION recall_now(wanted uuid)
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
    SELECT fresh.lot, fresh.portion, taken.had, taken.had_party, taken.was FROM taken JOIN fresh ON fresh.lot = taken.lot AND fresh.origin = taken.portion),
  gone AS MATERIALIZED (
    SELECT goods.* FROM recall_goods AS goods
    WHERE goods.recall = wanted AND coalesce(goods.quantity, 1) > 0.000001
      AND (goods.lot, goods.portion) NOT IN (SELECT there.lot, there.portion FROM there WHERE there.known)),
  corrected AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM gone)
        OR EXISTS (SELECT FROM event JOIN leaf ON leaf.event = event.id JOIN recall ON recall.id = wanted AND leaf.position > recall.known_to
                   WHERE event.is_error AND event.id > coalesce((SELECT max(leaf.event) FROM leaf JOIN recall ON recall.id = wanted
                                                                   AND leaf.position = recall.known_to), 0)
                     AND EXISTS (SELECT FROM event_mention AS mention JOIN recall_lot AS of_lot ON of_lot.recall = wanted AND of_lot.lot = mention.identifier
                                 WHERE mention.event = event.id)) AS so),
  again AS MATERIALIZED (SELECT found.lot, found.portion FROM corrected CROSS JOIN LATERAL recall_again(wanted) AS found WHERE corrected.so),
  -- By the corrected records under another name, or in the hands of others: of whom the order thought to have them.
  renamed AS MATERIALIZED (
    SELECT portion.lot, portion.portion, coalesce(before.keeper, portion.keeper) AS had,
           CASE WHEN coalesce(before.keeper, portion.keeper) IS NULL THEN portion.holder END AS had_party, before.state AS was
    FROM again JOIN portion ON portion.lot = again.lot AND portion.portion = again.portion AND coalesce(portion.quantity, 1) > 0.000001
    LEFT JOIN LATERAL (SELECT gone.keeper, gone.state FROM gone WHERE gone.lot = portion.lot
                       ORDER BY gone.state <> portion.state, gone.keeper IS DISTINCT FROM portion.keeper, gone.unit IS DISTINCT FROM portion.inside[1],
                                gone.place IS DISTINCT FROM portion.place, gone.portion LIMIT 1) AS before ON true
    WHERE NOT EXISTS (SELECT FROM there WHERE there.known AND there.lot = portion.lot AND there.portion = portion.portion)
      AND NOT EXISTS (SELECT FROM taken WHERE taken.lot = portion.lot AND taken.portion = portion.portion)),
  told AS (
    SELECT there.lot, there.portion, there.had, there.had_party, there.was FROM there WHERE there.known
    UNION ALL
    SELECT taken.lot, taken.portion, taken.had, taken.had_party, taken.was FROM taken)
  SELECT told.had, told.had_party, CASE WHEN stands.so AND told.was = 'used' AND there.state <> 'used' THEN 'held' ELSE told.was END,
         CASE WHEN stands.so THEN there.state ELSE 'not_reached' END, there.keeper, there.place, there.said_by, there.since, there.quantity, there.uom,
         there.kilograms, there.held_by, there.held_at
  FROM told JOIN there ON there.lot = told.lot AND there.portion = told.portion AND coalesce(there.quantity, 1) > 0.000001
  CROSS JOIN corrected
  CROSS JOIN LATERAL (SELECT NOT corrected.so OR (told.lot, told.portion) IN (SELECT again.lot, again.portion FROM again) AS so) AS stands
  UNION ALL
  SELECT renamed.had, renamed.had_party, coalesce(renamed.was, 'held'), CASE WHEN renamed.was IS NULL THEN 'besides' ELSE portion.state END,
         portion.keeper, portion.place, portion.said_by, portion.since, portion.quantity, portion.uom, portion.kilograms, portion.held_by, portion.held_at
  FROM renamed JOIN portion ON portion.lot = renamed.lot AND portion.portion = renamed.portion
  UNION ALL   -- what no record takes the place of
  SELECT gone.keeper, gone.holder, gone.state, CASE WHEN EXISTS (SELECT FROM there WHERE there.lot = gone.lot) THEN 'not_reached' ELSE 'lost' END,
         NULL, NULL, NULL, gone.since, gone.quantity, gone.uom, gone.kilograms, '{}', '{}'
  FROM gone WHERE gone.lot NOT IN (SELECT renamed.lot FROM renamed WHERE renamed.was IS NOT NULL)
$$;
REVOKE EXECUTE ON FUNCTION recall_again FROM PUBLIC;

-- An official's order, and how it ended, under a commitment in the root log: an authority has no log of its own ------------------

CREATE TABLE recall_seal (
  recall     uuid NOT NULL REFERENCES recall,
  said       text NOT NULL CHECK (said IN ('recall_order', 'recall_end')),
  record     jsonb NOT NULL,                -- what was committed to, field by field
  salts      bytea NOT NULL,                -- 16 bytes a field, in the order of the commitment
  commitment text NOT NULL,                 -- root over the fields, base64, as in the entry
  after_size bigint NOT NULL,               -- of the root log then: its entry is not before
  at         timestamptz NOT NULL,
  PRIMARY KEY (recall, said)
);

-- Only who gave an order for real, an official, and once each.
CREATE FUNCTION recall_seal_say(wanted uuid, what text, record jsonb, salts bytea, commitment text, body bytea, at timestamptz) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH mine AS (
    INSERT INTO recall_seal (recall, said, record, salts, commitment, after_size, at)
    SELECT recall.id, what, recall_seal_say.record, recall_seal_say.salts, recall_seal_say.commitment,
           coalesce((SELECT log.tree_size FROM log WHERE log.organisation = 'root'), 0), recall_seal_say.at
    FROM recall WHERE recall.id = wanted AND recall.organisation IS NULL AND recall.account = current_account() AND NOT recall.drill
    RETURNING recall_seal.recall)
  INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)
  SELECT 'root', 'registry', 'party', 'office ' || recall.department, body, recall_seal_say.at FROM mine JOIN recall ON recall.id = mine.recall
$$;

-- For everybody to whom the order is known; `leaf_index`: of the entry in the root log, null while it waits.
CREATE FUNCTION recall_seals(wanted uuid) RETURNS TABLE (said text, origin text, record jsonb, salts bytea, commitment text, leaf_index bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT seal.said, (SELECT log.origin FROM log WHERE log.organisation = 'root'), seal.record, seal.salts, seal.commitment,
         (SELECT found.leaf_index FROM (SELECT leaf.leaf_index, leaf.entry FROM leaf WHERE leaf.organisation = 'root' AND leaf.leaf_index >= seal.after_size
                                        ORDER BY leaf.leaf_index LIMIT 5000) AS found
          WHERE position(seal.commitment IN convert_from(found.entry, 'UTF8')) > 0 LIMIT 1)
  FROM recall_seal AS seal WHERE seal.recall = wanted AND recall_right(wanted) IS NOT NULL ORDER BY seal.said DESC
$$;
REVOKE EXECUTE ON FUNCTION recall_seal_say, recall_seals FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recall_seal_say, recall_seals TO suyuan_api;

-- What a recall may be begun from, by name: one's own places, vehicles and devices; for officials, what lies in their area, and the
-- devices that sit there.
CREATE FUNCTION recall_choices(most integer) RETURNS TABLE (code text, name_zh text, name_en text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH site AS MATERIALIZED (
    SELECT place.id, place.name_zh, place.name_en FROM place
    WHERE place.organisation = current_organisation()
       OR EXISTS (SELECT FROM asker_scope() AS scope WHERE lies_in(place.region, scope.regions))
    ORDER BY place.name_zh, place.id LIMIT most),
  sensor AS (
    SELECT DISTINCT ON (device.id) coalesce(device.giai, device.external_id) AS code, device.external_id, site.name_zh, site.name_en
    FROM device JOIN series ON series.device_id = device.id
    LEFT JOIN placement ON placement.series_id = series.id AND upper_inf(placement.valid)
    LEFT JOIN site ON site.id IN (placement.parent, split_part(placement.parent, '/254/', 1))
    WHERE device.organisation = current_organisation() OR site.id IS NOT NULL
    ORDER BY device.id, length(site.id) DESC NULLS LAST, placement.parent)
  SELECT site.id, site.name_zh, site.name_en FROM site
  UNION ALL
  (SELECT sensor.code, concat_ws(' · ', sensor.external_id, sensor.name_zh), concat_ws(' · ', sensor.external_id, sensor.name_en)
   FROM sensor ORDER BY 2, 1 LIMIT most)
$$;
REVOKE EXECUTE ON FUNCTION recall_choices FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recall_choices TO suyuan_api;
