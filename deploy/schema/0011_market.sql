-- The market's gate: codes of others, each bound once, and residue tests.

-- One code at a time means one thing: the range holds exactly one text, so that an exclusion needs no extension.
CREATE TYPE code_range AS RANGE (subtype = text, collation = "C");

-- How a code is compared: full-width forms are plain ones, a plate's blanks, dots and hyphens say nothing and its letters are capitals.
CREATE FUNCTION alias_key(scheme text, value text) RETURNS text LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog AS $$
  SELECT CASE WHEN scheme = 'plate' THEN upper(regexp_replace(normalize(value, NFKC) COLLATE "C", '[[:space:]·・•‧._-]', '', 'g'))
              ELSE btrim(regexp_replace(normalize(value, NFKC) COLLATE "C", '[[:space:]]+', ' ', 'g')) END
$$;

CREATE TABLE identifier_alias (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scheme       text NOT NULL CHECK (scheme ~ '^[a-z][a-z0-9_]{0,30}$'),   -- plate, zhenongma, national, label, gtin, other
  value        text NOT NULL CHECK (value ~ '\S' AND length(value) <= 300),   -- as seen in the field
  key          text NOT NULL GENERATED ALWAYS AS (alias_key(scheme, value)) STORED,
  entity       text NOT NULL CHECK (entity ~ '^[A-Za-z][A-Za-z0-9+.-]*:' AND length(entity) <= 2048),   -- canonical identifier
  organisation text NOT NULL REFERENCES organisation,                     -- who bound it
  account      uuid,
  valid        tstzrange NOT NULL CHECK (NOT isempty(valid)),
  CONSTRAINT one_meaning_at_a_time EXCLUDE USING gist (code_range(scheme || ' ' || key, scheme || ' ' || key, '[]') WITH &&, valid WITH &&)
);
CREATE INDEX identifier_alias_key ON identifier_alias (key);
CREATE INDEX identifier_alias_entity ON identifier_alias (entity);

-- What a code meant at some time it means for that time for ever. A plate that goes to another truck is closed, once.
CREATE FUNCTION alias_is_only_closed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF NOT upper_inf(OLD.valid) OR upper_inf(NEW.valid) OR lower(NEW.valid) IS DISTINCT FROM lower(OLD.valid)
     OR lower_inc(NEW.valid) <> lower_inc(OLD.valid) THEN
    RAISE EXCEPTION 'a bound code is closed once and otherwise never changed' USING ERRCODE = 'check_violation', CONSTRAINT = 'only_closed';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER alias_is_only_closed BEFORE UPDATE ON identifier_alias FOR EACH ROW EXECUTE FUNCTION alias_is_only_closed();

ALTER TABLE identifier_alias ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON identifier_alias TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
CREATE POLICY work ON identifier_alias TO suyuan_ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (valid) ON identifier_alias TO suyuan_api;
GRANT SELECT, INSERT ON identifier_alias TO suyuan_ingest;

-- What a code means, whoever bound it, now (`at` null) or at that time: for any asker.
CREATE FUNCTION resolve_alias(asked text, at timestamptz DEFAULT NULL)
  RETURNS TABLE (entity text, scheme text, organisation text, since timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT bound.entity, bound.scheme, bound.organisation, lower(bound.valid)
  FROM identifier_alias AS bound
  WHERE bound.key IN (alias_key('plate', asked), alias_key('other', asked)) AND bound.key = alias_key(bound.scheme, asked)
    AND CASE WHEN at IS NULL THEN upper_inf(bound.valid) ELSE bound.valid @> at END
  ORDER BY bound.id
$$;

-- The number by which a lot is asked for: what follows /10/, of a class of ours what follows its last dot.
CREATE FUNCTION lot_number(lot text) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT coalesce(substring(lot FROM '/10/([^/]+)'), substring(lot FROM '\.([^./]+)$')) $$;
CREATE INDEX presence_lot_number ON presence (lot_number(lot));

-- Whether a code is the number of a lot or a certificate, of anybody, other than what it is to be bound to: such a one is not bound.
CREATE FUNCTION is_number_of_another(asked text, entity text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM presence WHERE lot_number(presence.lot) = alias_key('other', asked) AND presence.lot <> entity)
      OR EXISTS (SELECT FROM certificate WHERE certificate.number = alias_key('other', asked) AND entity NOT IN (certificate.id, certificate.lot))
$$;

-- The lots of that number of which the asker may see anything. Whoever makes goods numbers them, so there may be several, and
-- others that nobody shows.
CREATE FUNCTION lots_numbered(asked text) RETURNS SETOF text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT presence.lot FROM presence
  WHERE lot_number(presence.lot) = alias_key('other', asked)
    AND EXISTS (SELECT FROM asker_mention WHERE identifier = presence.lot)
  ORDER BY 1 LIMIT 10
$$;
REVOKE EXECUTE ON FUNCTION resolve_alias, is_number_of_another, lots_numbered FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve_alias, is_number_of_another, lots_numbered TO suyuan_api;

-- Which of these units and lots somebody else took in a moment ago, in an event that has no position yet and that nobody else
-- sees: so that nothing is owed for twice. A name and nothing else, and only of what one names.
CREATE FUNCTION taken_just_now(goods text[]) RETURNS text[]
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT array_agg(DISTINCT mention.identifier)
  FROM event_mention AS mention JOIN event AS taking ON taking.id = mention.event AND NOT taking.is_error
  WHERE mention.identifier = ANY (goods) AND mention.role IN ('epc', 'class') AND taking.organisation <> current_organisation()
    AND taking.biz_step ~ '(^|[:/-])(accepting|receiving)$'
    AND EXISTS (SELECT FROM pending WHERE pending.event = taking.id)
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = taking.organisation
                    AND declared.event_id = taking.event_id AND declared.is_error)
$$;
REVOKE EXECUTE ON FUNCTION taken_just_now FROM PUBLIC;
GRANT EXECUTE ON FUNCTION taken_just_now TO suyuan_api;

-- A sample and its results, row by row: `sample` is the number that belongs to one of them. What was found is never edited;
-- when the seller was told is written down once.
CREATE TABLE test_record (
  id              uuid PRIMARY KEY,
  number          bigint GENERATED ALWAYS AS IDENTITY,   -- the order in which rows were written
  organisation    text NOT NULL REFERENCES organisation,
  lot             text NOT NULL,
  unit            text,
  place           text,                      -- where the sample was taken
  sample          text NOT NULL CHECK (sample ~ '\S' AND length(sample) <= 100),
  kind            text NOT NULL CHECK (kind IN ('rapid', 'laboratory')),
  method          text NOT NULL CHECK (length(method) <= 200),
  sampled_at      timestamptz NOT NULL,
  result_at       timestamptz,
  value           float8 CHECK (value BETWEEN -1e6 AND 1e6),   -- and so no NaN
  uom             text,
  threshold       float8 CHECK (threshold BETWEEN -1e6 AND 1e6),
  outcome         text NOT NULL CHECK (outcome IN ('negative', 'positive', 'pending')),
  operator        text,                      -- urn:suyuan:person:...
  covers          text[] NOT NULL DEFAULT '{}',
  not_covered     text[] NOT NULL DEFAULT '{}',
  notified_at     timestamptz,
  retest_deadline timestamptz,
  retest_of       uuid REFERENCES test_record,
  final           boolean NOT NULL DEFAULT false,
  event           bigint REFERENCES event,
  recorded_at     timestamptz NOT NULL,
  CONSTRAINT pending_has_no_result CHECK ((outcome = 'pending') = (result_at IS NULL)),
  CONSTRAINT a_result_is_said_by_an_event CHECK (outcome = 'pending' OR event IS NOT NULL),
  CONSTRAINT a_screen_is_never_final CHECK (NOT final OR (kind = 'laboratory' AND outcome <> 'pending')),
  CONSTRAINT a_clock_for_a_positive_screen CHECK ((retest_deadline IS NOT NULL) = (kind = 'rapid' AND outcome = 'positive'))
);
CREATE INDEX test_record_lot ON test_record (lot);
CREATE INDEX test_record_organisation ON test_record (organisation, recorded_at);

CREATE FUNCTION test_is_only_told() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF OLD.notified_at IS NOT NULL OR NEW.notified_at IS NULL OR NEW.notified_at < OLD.result_at OR OLD.result_at IS NULL THEN
    RAISE EXCEPTION 'when the seller was told of a result is written down once, and not before the result'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'told_once';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER test_is_only_told BEFORE UPDATE ON test_record FOR EACH ROW EXECUTE FUNCTION test_is_only_told();

ALTER TABLE test_record ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON test_record TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
GRANT SELECT, INSERT, UPDATE (notified_at) ON test_record TO suyuan_api;

-- Tests of these lots: one's own whole, and of others' outcome, method and dates where the asker made or packed what the tester
-- took in (or, where nobody knows how it came there, first made or spoke of the lot), is named by others as having a part in it, took it
-- in, or oversees it. To say a lot's number before it is made is no way to hear of its tests. A published lot alone, or one's own word for it, is no reason:
-- before a final result the public hears "on hold" and no more. What was declared wrong was no test.
CREATE FUNCTION tests_seen(lots text[])
  RETURNS TABLE (id uuid, organisation text, lot text, unit text, place text, kind text, method text, sampled_at timestamptz,
                 result_at timestamptz, outcome text, final boolean, notified_at timestamptz, retest_deadline timestamptz,
                 not_covered text[], event_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH overseen AS MATERIALIZED (SELECT official.lot FROM official_lots(lots) AS official WHERE EXISTS (SELECT FROM asker_scope()))
  SELECT test.id, test.organisation, test.lot, test.unit, test.place, test.kind, test.method, test.sampled_at,
         test.result_at, test.outcome, test.final, test.notified_at, test.retest_deadline, test.not_covered, said.event_id
  FROM test_record AS test LEFT JOIN event AS said ON said.id = test.event
  WHERE test.lot = ANY (lots)
    AND (test.organisation = current_organisation()
         OR EXISTS (SELECT FROM lot_grant AS taken WHERE taken.organisation = current_organisation() AND taken.lot = test.lot)
         OR EXISTS (SELECT FROM event_mention AS mention JOIN event ON event.id = mention.event AND NOT event.is_error
                    JOIN event_party AS party ON party.event = mention.event AND party.part <> 'capture'
                    WHERE mention.identifier = test.lot AND party.organisation = current_organisation()
                      AND event.organisation <> current_organisation())
         OR EXISTS (SELECT FROM lot_grant_event AS given JOIN event_mention AS mention ON mention.event = given.event AND mention.identifier = given.lot
                    WHERE given.organisation = test.organisation AND given.lot = test.lot AND given.said_by = current_organisation())
         OR (NOT EXISTS (SELECT FROM lot_grant AS taken WHERE taken.organisation = test.organisation AND taken.lot = test.lot)
             AND current_organisation() = (SELECT event.organisation FROM event_mention AS mention JOIN event ON event.id = mention.event
                                           WHERE mention.identifier = test.lot
                                           ORDER BY mention.role = 'output' OR event.biz_step ~ '(^|[:-])(commissioning|creating_class_instance)$' DESC NULLS LAST,
                                                    event.id LIMIT 1))
         OR test.lot IN (SELECT overseen.lot FROM overseen))
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = test.organisation
                    AND declared.event_id = said.event_id AND declared.is_error)
  ORDER BY test.number
$$;
REVOKE EXECUTE ON FUNCTION tests_seen FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tests_seen TO suyuan_api;
