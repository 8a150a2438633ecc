-- A month before pg_temp.moment(): each lot on two pallets, a day in a store, a night on a truck, a day at a market; of ten trucks nine
-- too warm for an hour; loggers on some pallets; of every device one hour in fifty is missing.
INSERT INTO organisation (id, name_zh, name_en, party, kind, region)
SELECT who || '-' || n, who || ' ' || n, who || ' ' || n, 'https://example.org/party/' || who || '/' || n, 'company', region
FROM (VALUES ('coop', 40, '331024'), ('carrier', 20, '331082'), ('market', 5, '330105')) AS sort (who, most, region), generate_series(1, most) AS n;
INSERT INTO place (id, organisation, kind, name_zh, name_en, region, latitude, longitude)
SELECT 'https://example.org/' || kind || '/' || n, owner || '-' || (1 + n % owners), kind, kind || ' ' || n, kind || ' ' || n, region,
       CASE WHEN region IS NOT NULL THEN 28.8 + n * 0.01 END, CASE WHEN region IS NOT NULL THEN 120.7 + n * 0.01 END
FROM (VALUES ('store', 100, 'coop', 40, '331024'), ('market', 20, 'market', 5, '330105'), ('truck', 60, 'carrier', 20, NULL)) AS sort (kind, most, owner, owners, region),
     generate_series(1, most) AS n;
INSERT INTO device (organisation, external_id, giai, model, interval_s)
SELECT owner || '-' || (1 + n % owners), kind || '-' || n, 'urn:device:' || kind || ':' || n, 'bench', pause
FROM (VALUES ('store', 100, 'coop', 40, 600), ('market', 20, 'market', 5, 600), ('truck', 60, 'carrier', 20, 300), ('logger', 120, 'coop', 40, 600))
       AS sort (kind, most, owner, owners, pause), generate_series(1, most) AS n;
INSERT INTO series (organisation, device_id, channel, quantity, unit) SELECT organisation, id, 'air', 'temperature', 'Cel' FROM device;
INSERT INTO series (organisation, device_id, channel, quantity, unit) SELECT organisation, id, 'gps', 'position', 'deg' FROM device WHERE external_id LIKE 'truck%';
INSERT INTO calibration SELECT id, 'JZ-' || id, 'lab', '2026-01-05', CASE WHEN id % 4 > 0 THEN date '2027-01-04' END FROM device WHERE id % 3 > 0;

CREATE TEMPORARY TABLE lot AS
  SELECT n, 'https://id.gs1.org/01/09521234000204/10/L' || n AS uri, pg_temp.moment() - INTERVAL '31 days' + n * INTERVAL '43.2 minutes' AS made,
         1 + n % 100 AS store, 1 + n % 60 AS truck, 1 + n % 20 AS market, 1 + n % 40 AS coop, 1 + n % 20 AS carrier
  FROM generate_series(1, 1000) AS n;
INSERT INTO lot_origin SELECT uri, uri, 'https://example.org/store/' || store FROM lot;
INSERT INTO whereabouts (lot, rule_product, stage, inside, place, in_vehicle, holder, kilograms, valid)
SELECT uri, 'yangmei', stage, CASE WHEN stage = 'loaded' THEN ARRAY[pallet, 'https://example.org/truck/' || truck] ELSE ARRAY[pallet] END,
       CASE stage WHEN 'loaded' THEN NULL WHEN 'collected' THEN 'https://example.org/store/' || store WHEN 'cold' THEN 'https://example.org/store/' || store
            ELSE 'https://example.org/market/' || market END,
       stage = 'loaded', 'https://example.org/party/' || CASE stage WHEN 'loaded' THEN 'carrier/' || carrier WHEN 'collected' THEN 'coop/' || coop
            WHEN 'cold' THEN 'coop/' || coop ELSE 'market/' || (1 + market % 5) END,
       400, tstzrange(made + since * INTERVAL '1 hour', made + until * INTERVAL '1 hour')
FROM lot, LATERAL (VALUES (uri || '/A'), (uri || '/B')) AS units (pallet),
     (VALUES ('collected', 0, 1), ('cold', 1, 15), ('loaded', 15, 22), ('arrived', 22, 30), ('stall', 30, 40)) AS steps (stage, since, until)
WHERE made + since * INTERVAL '1 hour' < pg_temp.moment();
INSERT INTO presence SELECT inside[1], lot, rule_product, stage, valid FROM whereabouts;

INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict)
SELECT series.id, series.organisation, 'https://example.org/' || replace(external_id, '-', '/'), CASE WHEN external_id LIKE 'truck%' THEN 'return_air' ELSE 'ambient' END,
       tstzrange(pg_temp.moment() - INTERVAL '40 days', NULL), false
FROM series JOIN device ON device.id = device_id WHERE channel = 'air' AND external_id NOT LIKE 'logger%';
INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict)
SELECT series.id, series.organisation, lot.uri || '/A', 'in_box', tstzrange(made + INTERVAL '2 hours', made + INTERVAL '38 hours'), false
FROM lot JOIN device ON external_id = 'logger-' || (1 + n % 200) JOIN series ON series.device_id = device.id;

CREATE TEMPORARY TABLE measured AS
  SELECT series.id AS series_id, interval_s, hour FROM series JOIN device ON device.id = device_id,
         generate_series(date_trunc('hour', pg_temp.moment()) - INTERVAL '31 days', pg_temp.moment() - INTERVAL '1 hour', INTERVAL '1 hour') AS hour
  WHERE channel = 'air' AND (series.id * 7919 + extract(epoch FROM hour)::bigint / 3600 * 104729) % 50 > 0;
INSERT INTO reading_1h SELECT series_id, hour, 3600 / interval_s, 3.0 * 3600 / interval_s, 2.0, 4.0, hour, hour + (3600 - interval_s) * INTERVAL '1 second' FROM measured;
INSERT INTO reading_store SELECT series_id, hour + step * INTERVAL '1 second', 2.0 + step / 2700.0, 0, 1
FROM measured, LATERAL generate_series(0, 3599, interval_s) AS step;
INSERT INTO observation SELECT series.id, at, jsonb_build_object('latitude', 29.0 + series.id % 10 * 0.1, 'longitude', 120.9), 0, 1
FROM series, generate_series(pg_temp.moment() - INTERVAL '31 days', pg_temp.moment(), INTERVAL '30 minutes') AS at WHERE channel = 'gps';

INSERT INTO excursion (organisation, series_id, limit_id, limit_version, version, state, start_time, trigger_time, end_time, closed_by, extreme,
  minutes_at_least, minutes_at_most, degree_minutes, opened_at, computed_at)
SELECT series.organisation, series.id, 'yangmei-upper-5c', 1, 1, CASE WHEN begun + INTERVAL '1 hour' < pg_temp.moment() THEN 'closed' ELSE 'open' END, begun,
       begun + INTERVAL '30 minutes', CASE WHEN begun + INTERVAL '1 hour' < pg_temp.moment() THEN begun + INTERVAL '1 hour' END,
       CASE WHEN begun + INTERVAL '1 hour' < pg_temp.moment() THEN 'recovery' END, 6 + n % 9, 40, 60, 40 * (1 + n % 9), begun + INTERVAL '30 minutes', begun + INTERVAL '1 hour'
FROM lot CROSS JOIN LATERAL (SELECT made + INTERVAL '17 hours' AS begun) AS at
JOIN device ON external_id = 'truck-' || truck
JOIN series ON series.device_id = device.id AND channel = 'air'
WHERE n % 10 > 0 AND begun + INTERVAL '30 minutes' < pg_temp.moment();

SELECT account_add('bench.auditor', 'auditor', NULL, ARRAY['auditor'], NULL, ARRAY['33'], '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA', pg_temp.moment());
INSERT INTO user_session (sha256, account, created_at, last_seen, expires_at)
SELECT sha256(id::text::bytea), id, now(), now(), 'infinity' FROM user_account;
