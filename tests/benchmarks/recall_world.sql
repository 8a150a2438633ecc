-- One harvest that was packed into 100 lots of 1,000 units each, with fifty holders; a tenth of the units sold, destroyed, sent back or
-- split; and as much again that has nothing to do with it. The same rows that the projection writes.
INSERT INTO organisation (id, name_zh, name_en, party, kind, publishes)
SELECT 'o' || n, '单位' || n, 'organisation ' || n, 'https://example.org/party/' || n, CASE n WHEN 0 THEN 'packer' ELSE 'retailer' END, n % 2 = 0
FROM generate_series(0, 50) AS n;
INSERT INTO place (id, organisation, kind, name_zh, name_en, region)
SELECT 'https://example.org/place/' || n, 'o' || n, 'site', '地点' || n, 'place ' || n, '330110' FROM generate_series(0, 50) AS n;

CREATE TEMPORARY TABLE lot AS
  SELECT world, n, 'https://example.org/class/fruit.' || world || '-' || n AS uri, 'run-' || world || '-' || n AS run,
         'https://example.org/class/harvest.' || world AS harvest
  FROM generate_series(0, 1) AS world, generate_series(1, 100) AS n;
CREATE TEMPORARY TABLE unit AS
  SELECT lot.*, k, md5(lot.uri || k) AS portion, md5(lot.uri) AS loose, 'https://example.org/obj/' || lot.world || '-' || lot.n || '-' || k AS name,
         1 + (k + lot.n) % 50 AS keeper
  FROM lot, generate_series(1, 1000) AS k;

-- harvests: a part of it into each run
INSERT INTO portion SELECT DISTINCT harvest, md5(harvest), NULL, now(), 'o0', NULL, NULL, 0, 'KGM', 0, ARRAY[]::text[], NULL, 'field', NULL, 'o0', 'held', now(), NULL::bigint, '{}'::text[], '{}'::timestamptz[] FROM lot;
INSERT INTO portion
SELECT harvest, md5(harvest || n), md5(harvest), now(), 'o0', NULL, run, 2000, 'KGM', 2000, '{}', NULL, 'cold', NULL, 'o0', 'used', now(), NULL, '{}', '{}' FROM lot;
INSERT INTO run_goods SELECT run, harvest, false, 2000, 'KGM', 2000, true FROM lot;
INSERT INTO run_goods SELECT run, uri, true, NULL, NULL, NULL, true FROM lot;
-- lots: packed into units from what lay loose
INSERT INTO portion SELECT uri, md5(uri), NULL, now(), 'o0', run, NULL, 0, NULL, 0, '{}', NULL, 'cold', NULL, 'o0', 'held', now(), NULL, '{}', '{}' FROM lot;
INSERT INTO portion
SELECT uri, portion, loose, now(), 'o0', run, NULL, CASE WHEN k % 10 = 0 THEN 6 ELSE 10 END, NULL, CASE WHEN k % 10 = 0 THEN 12 ELSE 20 END,
       ARRAY[name], 'https://example.org/place/' || keeper, 'shelf', NULL, 'o' || keeper,
       CASE k % 20 WHEN 3 THEN 'dispersed' WHEN 7 THEN 'destroyed' WHEN 9 THEN 'returned' ELSE 'held' END, now(), NULL, '{}', '{}'
FROM unit;
INSERT INTO portion
SELECT uri, md5(portion), portion, now(), 'o0', run, NULL, 4, NULL, 8, ARRAY[name], 'https://example.org/place/' || keeper, 'shelf', NULL, 'o' || keeper,
       'dispersed', now(), NULL, '{}', '{}'
FROM unit WHERE k % 10 = 0;
INSERT INTO portion_stay SELECT uri, portion, name, 'shelf', now(), NULL FROM unit;
INSERT INTO portion_stay SELECT uri, portion, 'https://example.org/place/' || keeper, 'shelf', now(), NULL FROM unit;
INSERT INTO lot_origin SELECT uri, source, NULL FROM lot, LATERAL (VALUES (uri), (harvest)) AS behind (source);
