-- Persons: what they said lies in the vault, and the record holds a random name in its place. What is erased is forgotten
-- everywhere, and a legal hold stops it.

-- The one role that may forget. Nobody signs in as it: the owner, or a login that is granted it, takes it on for
-- `suyuan erase`. Roles belong to the cluster, so a second database finds it there.
DO $eraser$
BEGIN
  CREATE ROLE suyuan_eraser NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;
END
$eraser$;
DO $granted$
BEGIN
  EXECUTE format('GRANT suyuan_eraser TO %I', current_user);
EXCEPTION WHEN OTHERS THEN
  NULL;                                     -- a superuser needs no grant, and some servers refuse him one
END
$granted$;
GRANT USAGE ON SCHEMA public TO suyuan_eraser;

CREATE TABLE vault (
  urn          text PRIMARY KEY CHECK (urn ~ '^urn:suyuan:person:[0-9a-f]{32}$'),
  organisation text NOT NULL REFERENCES organisation,
  digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),   -- HMAC of the value under the organisation's key
  value        bytea NOT NULL,              -- AES-256-GCM under the organisation's key: nonce, JSON, tag
  created_at   timestamptz NOT NULL
);
CREATE INDEX vault_organisation ON vault (organisation);
-- Which key it was begun with: a host that has another one would give known values new names.
CREATE TABLE vault_key (
  organisation text PRIMARY KEY REFERENCES organisation,
  mark         bytea NOT NULL CHECK (length(mark) = 16)
);

ALTER TABLE vault ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON vault TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
CREATE POLICY own ON vault_key TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
CREATE POLICY work ON vault TO suyuan_ingest USING (true) WITH CHECK (true);
CREATE POLICY work ON vault_key TO suyuan_ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON vault, vault_key TO suyuan_api;
-- Whoever takes in finds a name by the value's digest, and has no use for a value.
GRANT SELECT (urn, organisation, digest), INSERT ON vault TO suyuan_ingest;
GRANT SELECT, INSERT ON vault_key TO suyuan_ingest;

-- What was recorded in clear before there was a vault. The hash of a field stays and proves the others; its salt is gone, and
-- it is withheld for ever. The bytes hold what replays need of it.
ALTER TABLE event_bytes ADD COLUMN erased_fields text[] NOT NULL DEFAULT '{}';

CREATE FUNCTION erase_event_fields(wanted bigint, erased text[], forgotten bytea) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  stood event_bytes;
  place integer;
  new_salts bytea;
BEGIN
  SELECT * INTO stood FROM event_bytes WHERE event = wanted FOR UPDATE;
  IF NOT FOUND OR NOT erased <@ stood.field_names OR cardinality(erased) = 0
     OR erased && ARRAY['type', 'eventID', 'eventTime', 'eventTimeZoneOffset', 'action'] THEN
    RAISE EXCEPTION 'event % has no such fields, or cannot be read without them', wanted USING ERRCODE = 'restrict_violation';
  END IF;
  -- No other field changes: whoever erases can rewrite nothing.
  IF convert_from(forgotten, 'UTF8')::jsonb - erased IS DISTINCT FROM convert_from(stood.bytes, 'UTF8')::jsonb - erased THEN
    RAISE EXCEPTION 'other fields of event % would change', wanted USING ERRCODE = 'restrict_violation';
  END IF;
  new_salts := stood.salts;
  FOR place IN SELECT ordinal FROM unnest(stood.field_names) WITH ORDINALITY AS field (name, ordinal) WHERE name = ANY (erased) LOOP
    new_salts := overlay(new_salts PLACING decode(repeat('00', 16), 'hex') FROM 16 * (place - 1) + 1 FOR 16);
  END LOOP;
  UPDATE event_bytes SET bytes = forgotten, salts = new_salts,
    erased_fields = ARRAY(SELECT DISTINCT unnest(erased_fields || erased) ORDER BY 1) WHERE event = wanted;
END
$$;
REVOKE EXECUTE ON FUNCTION erase_event_fields FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_event_fields TO suyuan_eraser;

-- As before, but what was erased is withheld, whoever asks.
CREATE OR REPLACE FUNCTION published_fields(wanted bigint) RETURNS TABLE (ordinal integer, name text, salt bytea, value json, hash bytea)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT field.ordinal::integer,
         CASE WHEN shown THEN field.name END,
         CASE WHEN shown THEN substring(event_bytes.salts FROM 16 * (field.ordinal::integer - 1) + 1 FOR 16) END,
         CASE WHEN shown THEN convert_from(event_bytes.bytes, 'UTF8')::json -> field.name END,
         substring(event_bytes.field_hashes FROM 32 * (field.ordinal::integer - 1) + 1 FOR 32)
  FROM event
  JOIN organisation ON organisation.id = event.organisation AND organisation.publishes
  JOIN event_bytes ON event_bytes.event = event.id
  CROSS JOIN LATERAL (SELECT convert_from(event_bytes.bytes, 'UTF8')::jsonb AS body) AS said
  CROSS JOIN LATERAL unnest(event_bytes.field_names) WITH ORDINALITY AS field (name, ordinal)
  CROSS JOIN LATERAL (SELECT is_publishable(field.name, said.body -> field.name)
                             AND NOT field.name = ANY (event_bytes.erased_fields)) AS decision (shown)
  WHERE event.id = wanted
  ORDER BY field.ordinal
$$;
CREATE OR REPLACE FUNCTION asker_fields(wanted bigint) RETURNS TABLE (ordinal integer, name text, salt bytea, value json, hash bytea)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT field.ordinal::integer, CASE WHEN shown THEN field.name END,
         CASE WHEN shown THEN substring(event_bytes.salts FROM 16 * (field.ordinal::integer - 1) + 1 FOR 16) END,
         CASE WHEN shown THEN convert_from(event_bytes.bytes, 'UTF8')::json -> field.name END,
         substring(event_bytes.field_hashes FROM 32 * (field.ordinal::integer - 1) + 1 FOR 32)
  FROM event_bytes CROSS JOIN LATERAL unnest(event_bytes.field_names) WITH ORDINALITY AS field (name, ordinal)
  CROSS JOIN LATERAL (SELECT NOT field.name = ANY (event_bytes.erased_fields)) AS decision (shown)
  WHERE event_bytes.event = wanted AND EXISTS (SELECT FROM covered_event WHERE covered_event.event = wanted)
  UNION ALL
  SELECT * FROM published_fields(wanted) WHERE NOT EXISTS (SELECT FROM covered_event WHERE covered_event.event = wanted)
  ORDER BY 1
$$;

-- Quarantine: a payload that holds what was erased is forgotten, and its row stays with its count.
ALTER TABLE quarantine ADD COLUMN erased_at timestamptz;
CREATE OR REPLACE VIEW quarantine_open WITH (security_invoker = true) AS
  SELECT id, batch_id, received_at, organisation, topic, device_id, boot, seq, records, reason, detail, key_month, payload
  FROM quarantine WHERE erased_at IS NULL
    AND NOT EXISTS (SELECT FROM quarantine_replay WHERE quarantine_replay.quarantine_id = quarantine.id);

-- Legal holds: by whom, on what. `all` and whatever names goods, devices or organisations keeps raw readings; a person's keeps
-- no reading, and any of them keeps what it names from being erased. A hold is lifted and never deleted.
ALTER TABLE legal_hold
  ADD COLUMN kind text NOT NULL DEFAULT 'all' CHECK (kind IN ('all', 'organisation', 'lot', 'device', 'person')),
  ADD COLUMN subject text NOT NULL DEFAULT '',
  ADD COLUMN placed_by text NOT NULL DEFAULT '',
  ADD COLUMN released_by text,
  ADD COLUMN release_reason text,
  ADD CHECK ((kind = 'all') = (subject = ''));

CREATE FUNCTION hold_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.released_at IS NOT NULL OR NEW.released_at IS NULL
     OR to_jsonb(NEW) - ARRAY['released_at', 'released_by', 'release_reason']
        IS DISTINCT FROM to_jsonb(OLD) - ARRAY['released_at', 'released_by', 'release_reason'] THEN
    RAISE EXCEPTION 'a legal hold is lifted once, and neither changed nor deleted' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER hold_stands BEFORE UPDATE OR DELETE ON legal_hold FOR EACH ROW EXECUTE FUNCTION hold_stands();

CREATE FUNCTION readings_held_since() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT min(since) FROM legal_hold WHERE released_at IS NULL AND kind <> 'person'
$$;
CREATE OR REPLACE FUNCTION droppable_before() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT least(whole_since, readings_held_since()) FROM reading_horizon
$$;
REVOKE EXECUTE ON FUNCTION readings_held_since FROM PUBLIC;

-- An act, a certificate and a test stand as they are, but for what is forgotten of them.
CREATE OR REPLACE FUNCTION act_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF current_user = 'suyuan_eraser' AND TG_OP = 'UPDATE' THEN
    RETURN NEW;                             -- which may update `facts` and nothing else
  END IF;
  IF TG_OP = 'DELETE' OR OLD.undone_at IS NOT NULL OR NEW.undone_at IS NULL
     OR to_jsonb(NEW) - 'undone_at' IS DISTINCT FROM to_jsonb(OLD) - 'undone_at' THEN
    RAISE EXCEPTION 'an act is remembered as it was: it can be undone once, and nothing else' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE OR REPLACE FUNCTION certificate_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF current_user = 'suyuan_eraser' AND TG_OP = 'UPDATE' THEN
    RETURN NEW;                             -- which may update words and nothing else
  END IF;
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
CREATE OR REPLACE FUNCTION test_is_only_told() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF current_user = 'suyuan_eraser' THEN
    RETURN NEW;
  END IF;
  IF OLD.notified_at IS NOT NULL OR NEW.notified_at IS NULL OR NEW.notified_at < OLD.result_at OR OLD.result_at IS NULL THEN
    RAISE EXCEPTION 'when the seller was told of a result is written down once, and not before the result'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'told_once';
  END IF;
  RETURN NEW;
END
$$;

-- What the eraser reaches: words, by column, and no more.
DO $eraser$
DECLARE
  reached text;
BEGIN
  FOREACH reached IN ARRAY ARRAY['vault', 'vault_key', 'event', 'event_bytes', 'event_mention', 'event_party', 'act', 'certificate', 'test_record',
                                 'capture_job', 'idempotency', 'place', 'product', 'pending', 'identifier_alias', 'device'] LOOP
    EXECUTE format('CREATE POLICY erase ON %I TO suyuan_eraser USING (true) WITH CHECK (true)', reached);
  END LOOP;
END
$eraser$;
GRANT SELECT, DELETE ON vault TO suyuan_eraser;
GRANT SELECT ON vault_key, event, event_bytes, event_mention, event_party, act, certificate, test_record, capture_job, idempotency, quarantine,
  place, product, organisation, user_account, set_aside, identifier_alias, device, legal_hold, leaf, log TO suyuan_eraser;
GRANT UPDATE (identifier) ON event_mention TO suyuan_eraser;
GRANT UPDATE (organisation) ON event_party TO suyuan_eraser;
GRANT UPDATE (facts) ON act TO suyuan_eraser;
GRANT UPDATE (contact, origin, void_reason, product_zh, product_en, evidence) ON certificate TO suyuan_eraser;
GRANT UPDATE (method, sample, covers, not_covered) ON test_record TO suyuan_eraser;
GRANT UPDATE (errors) ON capture_job TO suyuan_eraser;
GRANT UPDATE (fingerprint, body, location) ON idempotency TO suyuan_eraser;
GRANT UPDATE (payload, key_month, detail, erased_at) ON quarantine TO suyuan_eraser;
GRANT UPDATE (name_zh, name_en) ON place, product, organisation TO suyuan_eraser;
GRANT UPDATE (name) ON user_account TO suyuan_eraser;
GRANT UPDATE (reason) ON set_aside TO suyuan_eraser;
GRANT INSERT ON pending TO suyuan_eraser;
GRANT SELECT ON legal_hold TO suyuan_ingest;
