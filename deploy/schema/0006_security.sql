-- Who may see and write what. Policies lie on the narrow tables; the store has none and is open to ingest and jobs alone.
-- An unset suyuan.org shows nothing.
CREATE FUNCTION current_organisation() RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('suyuan.org', true), '') $$;

DO $policies$
DECLARE
  narrow text;
BEGIN
  FOREACH narrow IN ARRAY ARRAY['place', 'product', 'device', 'series', 'event', 'placement', 'excursion', 'capture_job', 'sealed_window', 'pending'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', narrow);
    EXECUTE format('CREATE POLICY own ON %I TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation())', narrow);
    EXECUTE format('CREATE POLICY work ON %I TO suyuan_ingest, suyuan_jobs, suyuan_sequencer USING (true) WITH CHECK (true)', narrow);
  END LOOP;
END
$policies$;

-- event_bytes, event_party and event_mention follow their event.
ALTER TABLE event_bytes ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_party ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_mention ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON event_bytes TO suyuan_api USING (EXISTS (SELECT FROM event WHERE event.id = event_bytes.event)) WITH CHECK (EXISTS (SELECT FROM event WHERE event.id = event_bytes.event));
CREATE POLICY own ON event_party TO suyuan_api USING (EXISTS (SELECT FROM event WHERE event.id = event_party.event)) WITH CHECK (EXISTS (SELECT FROM event WHERE event.id = event_party.event));
CREATE POLICY own ON event_mention TO suyuan_api USING (EXISTS (SELECT FROM event WHERE event.id = event_mention.event)) WITH CHECK (EXISTS (SELECT FROM event WHERE event.id = event_mention.event));
CREATE POLICY work ON event_bytes TO suyuan_ingest, suyuan_jobs, suyuan_sequencer USING (true) WITH CHECK (true);
CREATE POLICY work ON event_party TO suyuan_ingest, suyuan_jobs, suyuan_sequencer USING (true) WITH CHECK (true);
CREATE POLICY work ON event_mention TO suyuan_ingest, suyuan_jobs, suyuan_sequencer USING (true) WITH CHECK (true);

GRANT SELECT ON organisation, place, product, device, series, limit_version, event, event_bytes, event_party, event_mention, log
  TO suyuan_ingest, suyuan_jobs, suyuan_sequencer, suyuan_api;

-- recording: the same rights at both doors
GRANT INSERT ON event, event_bytes, event_party, event_mention, pending TO suyuan_ingest, suyuan_api;

GRANT INSERT, UPDATE ON organisation, place, product, device TO suyuan_ingest;
GRANT INSERT ON series, limit_version TO suyuan_ingest;
GRANT SELECT, INSERT ON api_token TO suyuan_ingest;
GRANT SELECT, INSERT ON batch, reading_store, observation, account, quarantine, mark TO suyuan_ingest;
GRANT SELECT, INSERT, UPDATE ON device_sequence TO suyuan_ingest;
GRANT INSERT ON registry_change TO suyuan_ingest;

GRANT SELECT ON batch, reading_store, observation, account, device_sequence, leaf TO suyuan_jobs;
GRANT SELECT, INSERT, DELETE ON mark, placement, presence, registry_change TO suyuan_jobs;
GRANT SELECT, INSERT ON set_aside TO suyuan_jobs;
GRANT SELECT, INSERT, UPDATE ON projection, excursion TO suyuan_jobs;
GRANT SELECT, INSERT, UPDATE, DELETE ON reading_1h, open_window TO suyuan_jobs;
GRANT SELECT, INSERT ON excursion_version, sealed_window, pending TO suyuan_jobs;

GRANT SELECT, DELETE, UPDATE ON pending TO suyuan_sequencer;   -- UPDATE only so that FOR UPDATE SKIP LOCKED is allowed
GRANT SELECT ON sealed_window TO suyuan_sequencer;
GRANT SELECT, INSERT, UPDATE ON log, stream_head TO suyuan_sequencer;
GRANT SELECT, INSERT ON leaf, checkpoint TO suyuan_sequencer;

GRANT SELECT ON api_token, leaf, checkpoint, sealed_window, placement, excursion TO suyuan_api;
GRANT SELECT, INSERT, UPDATE ON capture_job TO suyuan_api;
GRANT SELECT ON capture_job TO suyuan_jobs;

-- The narrow door to readings for the API: a security-barrier view whose condition is the organisation of the series.
CREATE VIEW reading WITH (security_barrier) AS
  SELECT series.id AS series_id, series.device_id, series.channel, series.quantity, series.unit,
         store.time, store.value, store.flags
  FROM series JOIN reading_store AS store ON store.series_id = series.id
  WHERE series.organisation = current_organisation();
GRANT SELECT ON reading TO suyuan_api;

-- Published: what a shopper may see. The public role sees these views and functions and no table.
CREATE VIEW published_organisation WITH (security_barrier) AS
  SELECT id, name_zh, name_en, party, kind FROM organisation WHERE publishes;
CREATE VIEW published_place WITH (security_barrier) AS
  SELECT place.id, place.organisation, place.kind, place.name_zh, place.name_en, place.region, place.latitude, place.longitude, place.time_zone
  FROM place JOIN organisation ON organisation.id = place.organisation AND organisation.publishes;
CREATE VIEW published_product WITH (security_barrier) AS
  SELECT product.id, product.organisation, product.name_zh, product.name_en, product.rule_product, product.net_content_kg, product.classes
  FROM product JOIN organisation ON organisation.id = product.organisation AND organisation.publishes;
CREATE VIEW published_limit AS SELECT id, version, product, stages, positions, body FROM limit_version;
CREATE VIEW published_series WITH (security_barrier) AS
  SELECT series.id, series.uuid, series.organisation, series.channel, series.quantity, series.unit,
         device.id AS device_id, device.model, device.accuracy_c, device.interval_s
  FROM series JOIN device ON device.id = series.device_id
  JOIN organisation ON organisation.id = series.organisation AND organisation.publishes;
CREATE VIEW published_placement WITH (security_barrier) AS
  SELECT placement.series_id, placement.parent, placement.probe_position, placement.valid, placement.conflict
  FROM placement JOIN organisation ON organisation.id = placement.organisation AND organisation.publishes;
CREATE VIEW published_excursion WITH (security_barrier) AS
  SELECT excursion.id, excursion.organisation, excursion.series_id, excursion.limit_id, excursion.limit_version, excursion.version, excursion.state,
         excursion.merged_into, excursion.start_time, excursion.trigger_time, excursion.end_time, excursion.closed_by, excursion.extreme,
         excursion.minutes_at_least, excursion.minutes_at_most, excursion.degree_minutes, excursion.opened_at, excursion.computed_at
  FROM excursion JOIN organisation ON organisation.id = excursion.organisation AND organisation.publishes;
CREATE VIEW published_log WITH (security_barrier) AS
  SELECT log.organisation, log.origin FROM log JOIN organisation ON organisation.id = log.organisation AND organisation.publishes;

-- Business relations (sources, destinations, transactions), master data (ilmd: free text and unknown fields count as
-- personal until a schema says otherwise), other extension fields and free text stay behind.
CREATE FUNCTION published_field_names() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY['@context', 'type', 'eventID', 'eventTime', 'eventTimeZoneOffset', 'action', 'bizStep', 'disposition', 'persistentDisposition',
               'readPoint', 'bizLocation', 'epcList', 'quantityList', 'parentID', 'childEPCs', 'childQuantityList',
               'inputEPCList', 'outputEPCList', 'inputQuantityList', 'outputQuantityList', 'transformationID',
               'sensorElementList', 'certificationInfo', 'errorDeclaration',
               'suyuan:activity', 'suyuan:labelRange', 'suyuan:probePosition', 'suyuan:channel']
$$;

-- Disclosure is by top-level field, so a field is published only if nothing in it is anybody's own words: each object key in
-- it is one the standard has there (or one of ours), and the few places that take any text hold a word of a vocabulary.
CREATE FUNCTION published_keys(name text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN name IN ('readPoint', 'bizLocation') THEN ARRAY['id']
    WHEN name IN ('quantityList', 'childQuantityList', 'inputQuantityList', 'outputQuantityList') THEN ARRAY['epcClass', 'quantity', 'uom']
    WHEN name = 'persistentDisposition' THEN ARRAY['set', 'unset']
    WHEN name = 'errorDeclaration' THEN ARRAY['declarationTime', 'reason', 'correctiveEventIDs']
    WHEN name = 'suyuan:labelRange' THEN ARRAY['epcClass', 'from', 'to']
    WHEN name = 'sensorElementList' THEN ARRAY[   -- without stringValue, which is free text
      'sensorMetadata', 'sensorReport', 'time', 'startTime', 'endTime', 'deviceID', 'deviceMetadata', 'rawData', 'dataProcessingMethod',
      'bizRules', 'type', 'exception', 'microorganism', 'chemicalSubstance', 'coordinateReferenceSystem', 'value', 'component',
      'booleanValue', 'hexBinaryValue', 'uriValue', 'minValue', 'maxValue', 'meanValue', 'sDev', 'percRank', 'percValue', 'uom',
      'suyuan:probePosition', 'suyuan:sampleCount']
    ELSE ARRAY[]::text[]
  END
$$;

CREATE FUNCTION is_publishable(name text, value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
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
  END
$$;

-- What the replay needs of a field that is withheld for something inside it: the goods, the place, that it was declared wrong.
-- Without them goods would seem to be where they are not.
CREATE FUNCTION published_remainder(name text, value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN jsonb_typeof(value) = 'array' THEN jsonb_agg(kept) ELSE jsonb_agg(kept) -> 0 END
  FROM jsonb_path_query(value, 'lax $[*] ? (@.type() == "object")') AS item (said)
  CROSS JOIN LATERAL (SELECT jsonb_object_agg(pair.key, pair.value) AS kept FROM jsonb_each(item.said) AS pair
                      WHERE pair.key = ANY (published_keys(name)) AND pair.key <> 'reason'
                        AND (jsonb_typeof(pair.value) <> 'object')) AS standard
  WHERE name IN ('readPoint', 'bizLocation', 'quantityList', 'childQuantityList', 'inputQuantityList', 'outputQuantityList',
                 'errorDeclaration', 'suyuan:labelRange')
$$;

-- Which goods a bare quantity means depends on who holds them and under which document ("29 boxes destroyed" are those of the
-- recall notice), so a replay without parties and documents puts goods where they never were. Their names stay behind; each
-- is replaced by a keyed hash, which tells only that two events mean the same one. No role may read the key.
CREATE TABLE withheld_key (the_one boolean PRIMARY KEY DEFAULT true CHECK (the_one), key bytea NOT NULL CHECK (length(key) = 32));
INSERT INTO withheld_key (key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

CREATE VIEW published_event WITH (security_barrier) AS
  SELECT event.id, event.organisation, event.event_id, event.is_error, event.type, event.event_time, event.biz_step,
         leaf.position, leaf.record_time, leaf.leaf_index,
         published.fields || published.remainders
         || jsonb_strip_nulls(jsonb_build_object(
           'bizTransactionList',
           (SELECT jsonb_agg(jsonb_build_object('bizTransaction',
              'urn:suyuan:withheld:' || encode(sha256(secret.key || convert_to(item ->> 'bizTransaction', 'UTF8')), 'hex')))
            FROM jsonb_path_query(said.body, '$.bizTransactionList[*]') AS item WHERE item ->> 'bizTransaction' IS NOT NULL),
           'sourceList',
           (SELECT jsonb_agg(jsonb_build_object('type', item -> 'type', 'source',
              'urn:suyuan:withheld:' || encode(sha256(secret.key || convert_to(item ->> 'source', 'UTF8')), 'hex')))
            FROM jsonb_path_query(said.body, '$.sourceList[*]') AS item WHERE item ->> 'source' IS NOT NULL),
           'destinationList',
           (SELECT jsonb_agg(jsonb_build_object('type', item -> 'type', 'destination',
              'urn:suyuan:withheld:' || encode(sha256(secret.key || convert_to(item ->> 'destination', 'UTF8')), 'hex')))
            FROM jsonb_path_query(said.body, '$.destinationList[*]') AS item WHERE item ->> 'destination' IS NOT NULL))) AS body
  FROM event
  JOIN organisation ON organisation.id = event.organisation AND organisation.publishes
  JOIN event_bytes ON event_bytes.event = event.id
  JOIN leaf ON leaf.event = event.id
  CROSS JOIN LATERAL (SELECT convert_from(event_bytes.bytes, 'UTF8')::jsonb AS body) AS said
  CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(field.key, field.value) FILTER (WHERE field.shown), '{}') AS fields,
           -- "suyuan:withheld" names what is here for the replay alone and is no published field of the event. An event about a
           -- place that loses its measurements stays an event: one that names no goods.
           CASE WHEN bool_and(field.shown) THEN '{}' ELSE
             CASE WHEN said.body ? 'epcList' THEN '{}' ELSE coalesce(jsonb_agg('{"epcList": []}'::jsonb) FILTER (WHERE field.key = 'sensorElementList' AND NOT field.shown AND said.body ->> 'type' = 'ObjectEvent') -> 0, '{}') END
             || coalesce(jsonb_object_agg(field.key, field.remainder) FILTER (WHERE field.remainder IS NOT NULL), '{}')
             || jsonb_build_object('suyuan:withheld', jsonb_agg(field.key) FILTER (WHERE NOT field.shown))
           END AS remainders
    FROM (SELECT each.key, each.value, each.shown, CASE WHEN NOT each.shown THEN published_remainder(each.key, each.value) END AS remainder
          FROM (SELECT key, value, is_publishable(key, value) AS shown FROM jsonb_each(said.body)
                WHERE key = ANY (published_field_names())) AS each) AS field) AS published
  CROSS JOIN withheld_key AS secret;
CREATE VIEW published_mention WITH (security_barrier) AS
  SELECT mention.event, mention.identifier, mention.role
  FROM event_mention AS mention JOIN event ON event.id = mention.event
  JOIN organisation ON organisation.id = event.organisation AND organisation.publishes
  WHERE mention.role NOT IN ('source', 'destination', 'biz_transaction');

-- Fields of one event for its proof: the published ones with their salts, the others as hashes.
CREATE FUNCTION published_fields(wanted bigint) RETURNS TABLE (ordinal integer, name text, salt bytea, value json, hash bytea)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT field.ordinal::integer,
         CASE WHEN shown THEN field.name END,
         CASE WHEN shown THEN substring(event_bytes.salts FROM 16 * (field.ordinal::integer - 1) + 1 FOR 16) END,
         -- json, not jsonb: that would write a number out that was recorded with an exponent, and the leaf would not hash.
         CASE WHEN shown THEN convert_from(event_bytes.bytes, 'UTF8')::json -> field.name END,
         substring(event_bytes.field_hashes FROM 32 * (field.ordinal::integer - 1) + 1 FOR 32)
  FROM event
  JOIN organisation ON organisation.id = event.organisation AND organisation.publishes
  JOIN event_bytes ON event_bytes.event = event.id
  CROSS JOIN LATERAL (SELECT convert_from(event_bytes.bytes, 'UTF8')::jsonb AS body) AS said
  CROSS JOIN LATERAL unnest(event_bytes.field_names) WITH ORDINALITY AS field (name, ordinal)
  CROSS JOIN LATERAL (SELECT is_publishable(field.name, said.body -> field.name)) AS decision (shown)
  WHERE event.id = wanted
  ORDER BY field.ordinal
$$;

-- What the chain does not cover: how many steps that moved or named these goods, each within its interval (null: unbounded),
-- were recorded by organisations that do not publish, and when the first was. Nothing else of them; no row where there is none.
-- An association tells where a device is, not where goods are; what was declared wrong did not happen.
CREATE FUNCTION published_hidden(identifiers text[], since timestamptz[], until timestamptz[])
  RETURNS TABLE (events bigint, earliest timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT count(DISTINCT event.id), min(event.event_time)
  FROM unnest(identifiers, since, until) AS asked (identifier, since, until)
  JOIN event_mention AS mention ON mention.identifier = asked.identifier
    AND mention.role IN ('epc', 'class', 'parent', 'child', 'input', 'output')
  JOIN event ON event.id = mention.event AND event.type <> 'AssociationEvent' AND NOT event.is_error
  JOIN organisation ON organisation.id = event.organisation AND NOT organisation.publishes
  WHERE event.event_time >= coalesce(asked.since, '-infinity') AND event.event_time < coalesce(asked.until, 'infinity')
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = event.organisation
                    AND declared.event_id = event.event_id AND declared.is_error)
  HAVING count(*) > 0
$$;

-- Readings of a published series in an interval: bounded, so that nobody empties the store through it.
CREATE FUNCTION published_readings(wanted integer, from_time timestamptz, to_time timestamptz)
  RETURNS TABLE ("time" timestamptz, value float8, flags smallint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT store.time, store.value, store.flags
  FROM reading_store AS store
  WHERE store.series_id = wanted AND store.time >= from_time AND store.time < to_time
    AND EXISTS (SELECT FROM series JOIN organisation ON organisation.id = series.organisation AND organisation.publishes WHERE series.id = wanted)
  ORDER BY store.time
  LIMIT 100000
$$;

CREATE FUNCTION published_windows(wanted integer[], from_time timestamptz, to_time timestamptz)
  RETURNS TABLE (id bigint, organisation text, device_id integer, start_time timestamptz, version integer, closed text, leaf_keys bytea, leaf_index bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT w.id, w.organisation, w.device_id, w.start_time, w.version, w.closed, w.leaf_keys, leaf.leaf_index
  FROM sealed_window AS w
  JOIN organisation ON organisation.id = w.organisation AND organisation.publishes
  JOIN leaf ON leaf.sealed_window = w.id
  WHERE w.device_id = ANY (wanted) AND w.start_time > from_time - INTERVAL '1 hour' AND w.start_time < to_time
  ORDER BY w.device_id, w.start_time, w.version
$$;

-- The rows of one device-hour, for rebuilding its window; bodies of observations only as what hashes them needs.
CREATE FUNCTION published_device_hour(wanted integer, hour timestamptz)
  RETURNS TABLE (series uuid, time_ms bigint, value float8, flags smallint, body jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT series.uuid, (extract(epoch FROM store.time) * 1000)::bigint, store.value, store.flags, NULL::jsonb
  FROM series JOIN organisation ON organisation.id = series.organisation AND organisation.publishes
  JOIN reading_store AS store ON store.series_id = series.id AND store.time >= hour AND store.time < hour + INTERVAL '1 hour'
  WHERE series.device_id = wanted
  UNION ALL
  SELECT series.uuid, (extract(epoch FROM seen.time) * 1000)::bigint, NULL::float8, seen.flags, seen.body
  FROM series JOIN organisation ON organisation.id = series.organisation AND organisation.publishes
  JOIN observation AS seen ON seen.series_id = series.id AND seen.time >= hour AND seen.time < hour + INTERVAL '1 hour'
  WHERE series.device_id = wanted
$$;

REVOKE EXECUTE ON FUNCTION published_fields, published_readings, published_windows, published_device_hour, published_hidden FROM PUBLIC;
GRANT EXECUTE ON FUNCTION published_fields, published_readings, published_windows, published_device_hour, published_hidden TO suyuan_public, suyuan_api;
GRANT SELECT ON published_organisation, published_place, published_product, published_limit, published_series, published_placement,
  published_excursion, published_log, published_event, published_mention TO suyuan_public, suyuan_api;
