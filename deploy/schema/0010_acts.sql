-- What people did, the numbers they were given, and the 承诺达标合格证 they stand behind. The events themselves lie in
-- event; here is who tapped what, so that it can be taken back, and what may never be said twice.

-- 厂商识别代码, 4 to 12 digits. A prefix belongs to one company: two that shared one would label two pallets alike.
-- Who has none names its units by address ({PUBLIC_URL}/{organisation}/obj/...).
ALTER TABLE organisation ADD COLUMN gs1_prefix text UNIQUE CHECK (gs1_prefix ~ '^[0-9]{4,12}$');

CREATE TABLE act (
  id           uuid PRIMARY KEY,
  number       bigint GENERATED ALWAYS AS IDENTITY,   -- in the order of doing
  organisation text NOT NULL REFERENCES organisation,
  account      uuid,                        -- null: a token, which speaks for its organisation
  kind         text NOT NULL,
  event_ids    text[] NOT NULL CHECK (cardinality(event_ids) > 0),
  facts        jsonb NOT NULL,              -- what was asked for, and what was given: lots, units, numbers
  at           timestamptz NOT NULL,        -- our clock
  undone_at    timestamptz
);
CREATE INDEX act_newest ON act (organisation, number);

-- The next free number of a kind. Only ever forward: a number that was printed is spent, whatever became of its act.
CREATE TABLE number_range (
  organisation text NOT NULL REFERENCES organisation,
  kind         text NOT NULL,               -- lot, serial, sscc, certificate, weigh, waybill, ...
  prefix       text NOT NULL,               -- what the number counts within: the lot's stem, the GTIN, the day
  next         bigint NOT NULL CHECK (next >= 1),
  PRIMARY KEY (organisation, kind, prefix)
);

CREATE TABLE certificate (
  id           text PRIMARY KEY,            -- GDTI or URI, canonical
  number       text NOT NULL,
  organisation text NOT NULL REFERENCES organisation,
  kind         text NOT NULL CHECK (kind IN ('producer', 'buyer', 'producer_card')),
  lot          text NOT NULL,
  lot_kg       float8 NOT NULL CHECK (lot_kg > 0 AND lot_kg < 'infinity'),  -- of the lot by the record, when this was issued
  product_zh   text NOT NULL,
  product_en   text NOT NULL,
  quantity_kg  float8 NOT NULL CHECK (quantity_kg > 0 AND quantity_kg < 'infinity'),
  origin       text NOT NULL,
  declared_by  text NOT NULL,               -- party
  contact      text NOT NULL,
  basis        text[] NOT NULL CHECK (cardinality(basis) > 0
    AND basis <@ ARRAY['self_inspection', 'commissioned_test', 'internal_control', 'self_declaration']),
  evidence     text[] NOT NULL,
  issued_at    timestamptz NOT NULL,
  issued_by    uuid,
  event_id     text NOT NULL,               -- the event that says it
  status       text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'void', 'replaced')),
  replaced_by  text REFERENCES certificate DEFERRABLE INITIALLY DEFERRED,
  voided_at    timestamptz,
  void_reason  text,
  UNIQUE (organisation, number),
  CHECK ((status = 'valid') = (voided_at IS NULL) AND (voided_at IS NULL) = (void_reason IS NULL)
         AND (status = 'replaced') = (replaced_by IS NOT NULL))
);
CREATE INDEX certificate_lot ON certificate (lot);

-- Never edited. Only what may befall it later may be written, and only once.
CREATE FUNCTION certificate_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'a certificate is never deleted: void it' USING ERRCODE = 'restrict_violation';
  END IF;
  IF to_jsonb(NEW) - ARRAY['status', 'replaced_by', 'voided_at', 'void_reason']
     IS DISTINCT FROM to_jsonb(OLD) - ARRAY['status', 'replaced_by', 'voided_at', 'void_reason'] THEN
    RAISE EXCEPTION 'a certificate is never edited: void it and issue another' USING ERRCODE = 'restrict_violation';
  END IF;
  IF OLD.status <> 'valid' THEN
    RAISE EXCEPTION 'certificate % is % already', OLD.number, OLD.status USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER certificate_stands BEFORE UPDATE OR DELETE ON certificate FOR EACH ROW EXECUTE FUNCTION certificate_stands();

-- What is promised of a lot is never more than there was of it, also when two issue at once: whoever comes second waits for
-- the first and counts its certificate too.
CREATE FUNCTION certificate_within_lot() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  promised float8;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('certificate ' || NEW.organisation || ' ' || NEW.lot, 0));
  SELECT coalesce(sum(quantity_kg), 0) INTO promised FROM certificate
  WHERE organisation = NEW.organisation AND lot = NEW.lot AND status = 'valid';
  IF promised + NEW.quantity_kg > NEW.lot_kg + 1e-6 THEN
    RAISE EXCEPTION 'certificates of lot %: % kg promised and % kg more, of % kg', NEW.lot, promised, NEW.quantity_kg, NEW.lot_kg
      USING ERRCODE = 'check_violation', CONSTRAINT = 'certificate_within_lot';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER certificate_within_lot BEFORE INSERT ON certificate FOR EACH ROW EXECUTE FUNCTION certificate_within_lot();

CREATE FUNCTION act_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.undone_at IS NOT NULL OR NEW.undone_at IS NULL
     OR to_jsonb(NEW) - 'undone_at' IS DISTINCT FROM to_jsonb(OLD) - 'undone_at' THEN
    RAISE EXCEPTION 'an act is remembered as it was: it can be undone once, and nothing else' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER act_stands BEFORE UPDATE OR DELETE ON act FOR EACH ROW EXECUTE FUNCTION act_stands();

CREATE FUNCTION number_range_rises() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NEW.next <= OLD.next
     OR (NEW.organisation, NEW.kind, NEW.prefix) IS DISTINCT FROM (OLD.organisation, OLD.kind, OLD.prefix) THEN
    RAISE EXCEPTION 'numbers are given once: a range only goes forward' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER number_range_rises BEFORE UPDATE OR DELETE ON number_range FOR EACH ROW EXECUTE FUNCTION number_range_rises();

DO $policies$
DECLARE
  narrow text;
BEGIN
  FOREACH narrow IN ARRAY ARRAY['act', 'number_range', 'certificate'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', narrow);
    EXECUTE format('CREATE POLICY own ON %I TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation())', narrow);
  END LOOP;
END
$policies$;

GRANT SELECT, INSERT ON act, number_range, certificate TO suyuan_api;
GRANT UPDATE (undone_at) ON act TO suyuan_api;
GRANT UPDATE (next) ON number_range TO suyuan_api;
GRANT UPDATE (status, replaced_by, voided_at, void_reason) ON certificate TO suyuan_api;

-- What a shopper may see of a certificate: what is promised of which goods, by which organisation. No person and no telephone.
CREATE VIEW published_certificate WITH (security_barrier) AS
  SELECT certificate.id, certificate.number, certificate.organisation, certificate.kind, certificate.lot,
         certificate.product_zh, certificate.product_en, certificate.quantity_kg, certificate.origin, certificate.basis,
         certificate.issued_at, certificate.status, certificate.replaced_by, certificate.voided_at
  FROM certificate JOIN organisation ON organisation.id = certificate.organisation AND organisation.publishes;
GRANT SELECT ON published_certificate TO suyuan_public, suyuan_api;

-- Whether others have built on one's own events: how many later ones, of anybody, name what these made or moved. A number and
-- nothing else, and only of identifiers that one's own events name; what was declared wrong does not count. `vehicles`:
-- what they were put on, which has other loads too: of it, or of the trailer whose compartment it is, count the events about
-- the vehicle with all that is in it. `inside`: lots in the units that these took in; of them one's own events count, which
-- name the lot and not the unit. Nobody builds on a measurement, nor on one's own certificate (`other`): whether one of
-- those promises too much is asked of the certificates.
CREATE FUNCTION later_events(own bigint[], identifiers text[], vehicles text[], inside text[]) RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT count(DISTINCT later.id)
  FROM event_mention AS mention
  JOIN event AS later ON later.id = mention.event AND NOT later.is_error
  CROSS JOIN regexp_replace(coalesce(later.biz_step, ''), '^.*[:-]', '') AS step
  WHERE mention.identifier = ANY (identifiers || vehicles || inside)
    AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output')
    AND step <> 'sensor_reporting' AND (step <> 'other' OR later.organisation <> current_organisation())
    AND later.id > (SELECT max(unnested) FROM unnest(own) AS unnested)
    AND NOT EXISTS (SELECT FROM unnest(own) AS mine JOIN event ON event.id = mine
                    WHERE event.organisation IS DISTINCT FROM current_organisation())
    AND (mention.identifier = ANY (inside) AND later.organisation = current_organisation()
      OR mention.identifier = ANY (identifiers)
        AND EXISTS (SELECT FROM event_mention AS ours WHERE ours.event = ANY (own) AND ours.identifier = mention.identifier)
      OR mention.identifier = ANY (vehicles) AND mention.role = 'epc'
        AND EXISTS (SELECT FROM event_mention AS ours WHERE ours.event = ANY (own)
                    AND (ours.identifier = mention.identifier OR starts_with(ours.identifier, mention.identifier || '.'))))
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = later.organisation
                    AND declared.event_id = later.event_id AND declared.is_error)
$$;

-- How goods stand that one cannot see, for whoever has them in front of them: 'named' (somebody hands them to us), 'moving'
-- (on the way: whoever stands at the dock may take them in), 'ours' (the last word on them was ours), 'elsewhere' (in
-- somebody's hands), or 'unknown'. `without`: one's own events that are being taken back.
CREATE FUNCTION goods_standing(wanted text, without text[]) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH told AS (
    SELECT event.id, event.organisation, event.event_time, regexp_replace(coalesce(event.biz_step, ''), '^.*[:-]', '') AS step
    FROM event_mention AS mention JOIN event ON event.id = mention.event AND NOT event.is_error AND event.type <> 'AssociationEvent'
    WHERE mention.identifier = wanted AND mention.role IN ('epc', 'class', 'child', 'output')
      AND NOT (event.organisation = current_organisation() AND event.event_id = ANY (without))
      AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = event.organisation
                      AND declared.event_id = event.event_id AND declared.is_error)
  )
  SELECT CASE
    WHEN NOT EXISTS (SELECT FROM told) THEN 'unknown'
    WHEN (SELECT organisation FROM told ORDER BY event_time DESC, id DESC LIMIT 1) = current_organisation() THEN 'ours'
    WHEN EXISTS (SELECT FROM told JOIN event_party ON event_party.event = told.id AND event_party.part = 'destination'
                 AND event_party.organisation = current_organisation()) THEN 'named'
    WHEN (SELECT step FROM told WHERE step NOT IN ('inspecting', 'sensor_reporting', 'other') ORDER BY event_time DESC, id DESC LIMIT 1)
         IN ('loading', 'departing', 'shipping', 'arriving', 'unloading', 'transporting') THEN 'moving'
    ELSE 'elsewhere'
  END
$$;

REVOKE EXECUTE ON FUNCTION later_events, goods_standing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION later_events, goods_standing TO suyuan_api;
