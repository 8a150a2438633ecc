-- Oversight: calibrations, record duties, and what an official may see of whose readings.
ALTER TABLE organisation ADD COLUMN region text   -- of its seat
  CHECK (region ~ '^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})$');

CREATE TABLE calibration (
  device_id     integer NOT NULL REFERENCES device,
  certificate   text NOT NULL,
  laboratory    text NOT NULL,
  calibrated_on date NOT NULL,
  due_on        date CHECK (due_on >= calibrated_on),   -- the last day it speaks for; null: the duty's own validity counts
  PRIMARY KEY (device_id, certificate)
);

CREATE TABLE duty_rule (
  id             text NOT NULL,
  version        integer NOT NULL,
  kind           text NOT NULL CHECK (kind IN ('missing_record', 'interval_too_long', 'calibration')),
  place_kinds    text[] NOT NULL,           -- vehicle, place; empty: both
  max_interval_s integer,
  force          text NOT NULL,
  source         text NOT NULL,
  clause         text NOT NULL,
  verified       boolean NOT NULL,
  body           jsonb NOT NULL,            -- the whole rule as it stood
  PRIMARY KEY (id, version)
);

ALTER TABLE calibration ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON calibration TO suyuan_api USING (EXISTS (SELECT FROM device WHERE device.id = calibration.device_id));
CREATE POLICY work ON calibration TO suyuan_ingest USING (true) WITH CHECK (true);
GRANT SELECT ON calibration, duty_rule TO suyuan_api;
GRANT SELECT, INSERT, UPDATE ON calibration TO suyuan_ingest;
GRANT SELECT, INSERT ON duty_rule TO suyuan_ingest;

-- Where the goods of each lot were, each kilogram once (presence has them once for each thing around them). A projection.
CREATE TABLE whereabouts (
  lot          text NOT NULL,
  rule_product text,
  stage        text,
  inside       text[] NOT NULL,             -- containers and vehicles, from the innermost out
  place        text,
  in_vehicle   boolean NOT NULL,            -- then they are not in the air of the place
  holder       text,                        -- party
  kilograms    float8 CHECK (kilograms > 0),   -- null: not known
  valid        tstzrange NOT NULL CHECK (NOT isempty(valid))
);
CREATE INDEX whereabouts_lot ON whereabouts (lot);
CREATE INDEX whereabouts_inside ON whereabouts USING gin (inside);
CREATE INDEX whereabouts_place ON whereabouts (place);
CREATE INDEX whereabouts_valid ON whereabouts USING gist (valid);
CREATE INDEX excursion_trigger ON excursion (trigger_time);

GRANT SELECT, INSERT, DELETE ON whereabouts TO suyuan_jobs;

-- What officials see ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION is_vehicle(kind text, id text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT kind IN ('trailer', 'compartment', 'vehicle', 'truck', 'van', 'container') OR id LIKE 'https://id.gs1.org/8004/%'
$$;

-- Places as officials know them, with the code their region has today; and every door and stall of a place lies where it
-- does. No service reads these views.
CREATE VIEW ground AS
  SELECT place.id, place.organisation, place.kind, place.name_zh, place.name_en, place.latitude, place.longitude, place.time_zone,
         is_vehicle(place.kind, place.id) AS vehicle,
         coalesce(moved.now_code || substr(place.region, 7), place.region) AS region
  FROM place LEFT JOIN region_moved AS moved ON moved.code = left(place.region, 6);
CREATE VIEW seat AS
  SELECT organisation.id, organisation.party, organisation.name_zh, organisation.name_en,
         coalesce(moved.now_code || substr(organisation.region, 7), organisation.region) AS region
  FROM organisation LEFT JOIN region_moved AS moved ON moved.code = left(organisation.region, 6);

-- What a breach touched: the goods around the probe while it lasted, each kilogram once. `site`: the vehicle they were in, or
-- the place they were at.
CREATE VIEW excursion_probe AS
  SELECT excursion.id, placed.parent, placed.probe_position
  FROM excursion CROSS JOIN LATERAL (
    SELECT placement.parent, placement.probe_position FROM placement
    WHERE placement.series_id = excursion.series_id AND NOT placement.conflict
      AND placement.valid && tstzrange(excursion.start_time, excursion.trigger_time, '[]')
    ORDER BY lower(placement.valid) DESC LIMIT 1) AS placed;
CREATE VIEW excursion_goods AS
  SELECT excursion.id, goods.lot, goods.stage, goods.inside, goods.place, goods.in_vehicle, goods.holder, goods.kilograms,
         goods.valid, goods.valid * tstzrange(excursion.start_time, excursion.end_time) AS touched,
         CASE WHEN goods.in_vehicle THEN goods.inside[cardinality(goods.inside)] ELSE goods.place END AS site
  FROM excursion
  JOIN excursion_probe AS probe USING (id)
  JOIN limit_version AS rule ON rule.id = excursion.limit_id AND rule.version = excursion.limit_version
  CROSS JOIN LATERAL (   -- two ways in, each with its index
    SELECT within.* FROM whereabouts AS within
    WHERE within.inside @> ARRAY[probe.parent] AND within.valid && tstzrange(excursion.start_time, excursion.end_time)
    UNION ALL
    SELECT beside.* FROM whereabouts AS beside
    WHERE beside.place = probe.parent AND NOT beside.in_vehicle AND NOT beside.inside @> ARRAY[probe.parent]
      AND beside.valid && tstzrange(excursion.start_time, excursion.end_time)) AS goods
  WHERE goods.rule_product = rule.product AND goods.stage = ANY (rule.stages);

-- Goods that needed cold, by the rule that says so. `around`: whatever a probe could sit in.
CREATE VIEW cold_goods AS
  SELECT goods.lot, goods.stage, goods.inside, goods.place, goods.in_vehicle, goods.holder, goods.kilograms,
         rule.id AS limit_id, rule.version AS limit_version, rule.positions, rule.body,
         goods.valid * tstzrange((rule.body ->> 'valid_from')::timestamptz, (rule.body ->> 'valid_to')::timestamptz) AS valid,
         CASE WHEN goods.in_vehicle THEN goods.inside[cardinality(goods.inside)] ELSE goods.place END AS site,
         CASE WHEN goods.in_vehicle OR goods.place IS NULL THEN goods.inside ELSE goods.inside || goods.place END AS around
  FROM whereabouts AS goods
  JOIN limit_version AS rule ON rule.product = goods.rule_product AND goods.stage = ANY (rule.stages)
    AND goods.valid && tstzrange((rule.body ->> 'valid_from')::timestamptz, (rule.body ->> 'valid_to')::timestamptz);

-- Which of these lots concern the asker's area by themselves: where the lot, or what it is made of, was picked or first stood; and
-- the markets, stalls and shops that it, or what was made of it, was brought to (`since` when last).
CREATE FUNCTION lots_of_asker(among text[]) RETURNS TABLE (lot text, basis text, place text, region text, since timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH near AS MATERIALIZED (
    SELECT ground.id, ground.region FROM asker_scope() AS scope CROSS JOIN ground WHERE ground.region IS NOT NULL AND lies_in(ground.region, scope.regions)),
  stood AS (
    SELECT origin.lot, 'origin' AS basis, coalesce(origin.place, first.place) AS place, NULL::timestamptz AS since
    FROM unnest(among) AS asked (lot) JOIN lot_origin AS origin ON origin.lot = asked.lot
    LEFT JOIN LATERAL (SELECT goods.place FROM whereabouts AS goods WHERE goods.lot = origin.source AND goods.place IS NOT NULL
                         AND origin.place IS NULL ORDER BY lower(goods.valid) LIMIT 1) AS first ON true
    UNION ALL
    SELECT origin.source, 'destination', goods.place, max(lower(goods.valid))
    FROM unnest(among) AS asked (lot) JOIN lot_origin AS origin ON origin.source = asked.lot
    JOIN whereabouts AS goods ON goods.lot = origin.lot AND goods.stage IN ('arrived', 'stall', 'shelf') AND goods.place IS NOT NULL
    GROUP BY origin.source, goods.place)
  SELECT stood.lot, stood.basis, near.id, near.region, max(stood.since)
  FROM stood CROSS JOIN LATERAL (VALUES (stood.place), (split_part(stood.place, '/254/', 1))) AS at (place) JOIN near ON near.id = at.place
  GROUP BY 1, 2, 3, 4
$$;

-- Of the asker's area and department, and why. Agriculture: before the market. Market regulation: in it, and what befell goods
-- before once they, or what was made of them, are there. Carriers' seats: of the vehicle's owner, and of who had the goods on it.
-- `wanted` null: all triggered in the period, or that lasted into it.
CREATE FUNCTION excursions_of_asker(wanted bigint, since timestamptz, until timestamptz)
  RETURNS TABLE (excursion bigint, concerns jsonb, stages text[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH scope AS MATERIALIZED (SELECT * FROM asker_scope()),
  asked AS MATERIALIZED (
    SELECT excursion.id, excursion.trigger_time FROM scope CROSS JOIN excursion
    WHERE (wanted IS NULL OR excursion.id = wanted)
      -- What still lasted when the period began is of it too: nothing falls out of the list while it goes on.
      AND (since IS NULL OR excursion.trigger_time >= since OR (excursion.state IN ('open', 'closed') AND coalesce(excursion.end_time, 'infinity') >= since))
      AND (until IS NULL OR excursion.trigger_time < until)),
  -- Each by its number (OFFSET 0), or the goods of all breaches there ever were would be looked up for one.
  goods AS MATERIALIZED (SELECT touched.* FROM asked CROSS JOIN LATERAL (SELECT * FROM excursion_goods AS each WHERE each.id = asked.id OFFSET 0) AS touched),
  near AS MATERIALIZED (
    SELECT ground.id, ground.region FROM scope CROSS JOIN ground WHERE ground.region IS NOT NULL AND lies_in(ground.region, scope.regions)),
  seated AS MATERIALIZED (
    SELECT seat.id, seat.party, seat.region FROM scope CROSS JOIN seat WHERE seat.region IS NOT NULL AND lies_in(seat.region, scope.regions)),
  lots AS MATERIALIZED (SELECT own.* FROM lots_of_asker(ARRAY(SELECT DISTINCT goods.lot FROM goods)) AS own),
  ride AS MATERIALIZED (SELECT DISTINCT goods.id, goods.site, asked.trigger_time FROM goods JOIN asked USING (id) WHERE goods.in_vehicle),
  spot AS MATERIALIZED (SELECT ground.id, ground.region, ground.latitude, ground.longitude FROM ground WHERE ground.region IS NOT NULL AND ground.latitude IS NOT NULL AND ground.longitude IS NOT NULL),
  gps AS MATERIALIZED (
    SELECT DISTINCT placement.parent, placement.valid, series.id AS series_id
    FROM placement JOIN series AS placed ON placed.id = placement.series_id
    JOIN series ON series.device_id = placed.device_id AND series.quantity = 'position'
    WHERE placement.valid && (SELECT tstzrange(min(ride.trigger_time), max(ride.trigger_time), '[]') FROM ride)),
  -- Where a vehicle was last, by its own positions, nothing older than six hours; and the place nearest to that which is
  -- registered: what is farther than 100 km says too little.
  ridden AS MATERIALIZED (
    SELECT ride.id, ride.site, stood.place, stood.region,
           2 * 6371 * asin(sqrt(sin(radians(stood.latitude - seen.latitude) / 2) ^ 2
             + cos(radians(seen.latitude)) * cos(radians(stood.latitude)) * sin(radians(stood.longitude - seen.longitude) / 2) ^ 2)) AS distance_km
    FROM ride CROSS JOIN LATERAL (
      SELECT (last.body ->> 'latitude')::float8 AS latitude, (last.body ->> 'longitude')::float8 AS longitude
      FROM gps CROSS JOIN LATERAL (   -- the last of each, by its index
        SELECT each.time, each.body FROM observation AS each WHERE each.series_id = gps.series_id
          AND each.time <= ride.trigger_time AND each.time > ride.trigger_time - INTERVAL '6 hours'
        ORDER BY each.time DESC LIMIT 1) AS last
      WHERE gps.valid @> ride.trigger_time
        AND (gps.parent = ride.site OR starts_with(gps.parent, ride.site || '.') OR starts_with(ride.site, gps.parent || '.'))
      ORDER BY last.time DESC LIMIT 1) AS seen
    CROSS JOIN LATERAL (
      SELECT spot.id AS place, spot.region, spot.latitude, spot.longitude FROM spot
      ORDER BY (spot.latitude - seen.latitude) ^ 2 + ((spot.longitude - seen.longitude) * cos(radians(seen.latitude))) ^ 2 LIMIT 1) AS stood),
  concerned AS (
    SELECT goods.id, 'place' AS basis, near.id AS place, near.region, NULL::float8 AS distance_km
    FROM goods CROSS JOIN LATERAL (VALUES (goods.place), (split_part(goods.place, '/254/', 1))) AS at (place) JOIN near ON near.id = at.place
    UNION
    SELECT asked.id, 'place', near.id, near.region, NULL FROM asked JOIN excursion_probe AS probe USING (id) JOIN near ON near.id = probe.parent
    UNION
    SELECT stood.id, 'vehicle', stood.place, stood.region, round(stood.distance_km::numeric, 1)::float8
    FROM scope CROSS JOIN ridden AS stood WHERE stood.distance_km <= 100 AND lies_in(stood.region, scope.regions)
    UNION
    SELECT ride.id, 'seat', seated.id, seated.region, NULL FROM ride JOIN place ON place.id = ride.site JOIN seated ON seated.id = place.organisation
    UNION
    SELECT goods.id, 'seat', seated.id, seated.region, NULL FROM goods JOIN seated ON seated.party = goods.holder WHERE goods.in_vehicle
    UNION
    SELECT goods.id, lots.basis, lots.place, lots.region, NULL
    FROM goods JOIN lots ON lots.lot = goods.lot WHERE lots.since IS NULL OR lots.since >= lower(goods.touched)),
  told AS MATERIALIZED (
    SELECT concerned.id, jsonb_agg(jsonb_build_object('basis', concerned.basis, 'place', concerned.place, 'region', concerned.region,
             'distance_km', concerned.distance_km) ORDER BY concerned.basis, concerned.region, concerned.place) AS concerns
    FROM concerned GROUP BY concerned.id),
  market AS MATERIALIZED (   -- until when goods of a lot, or of what was made of it, are or were in the market
    SELECT origin.source AS lot, max(coalesce(upper(later.valid), 'infinity')) AS until
    FROM (SELECT DISTINCT goods.lot FROM goods) AS known JOIN lot_origin AS origin ON origin.source = known.lot
    JOIN whereabouts AS later ON later.lot = origin.lot AND later.stage IN ('arrived', 'stall', 'shelf') GROUP BY origin.source),
  staged AS (
    SELECT goods.id, array_agg(DISTINCT goods.stage) AS stages, coalesce(bool_or(market.until > lower(goods.touched)), false) AS marketed
    FROM goods LEFT JOIN market USING (lot) GROUP BY goods.id)
  SELECT told.id, told.concerns, coalesce(staged.stages, '{}')
  FROM told LEFT JOIN staged USING (id) CROSS JOIN scope
  WHERE scope.agriculture AND (staged.id IS NULL OR staged.stages && ARRAY['field', 'collected', 'precooling', 'cold', 'loaded'])
     OR scope.market AND (staged.id IS NULL OR staged.marketed)
$$;

-- How long those goods were without a reading while they were there, in tonne-hours, from the hours' counts: about, that is.
-- A sensor covers what lies between an hour's first and last reading, less the share of readings that is missing in between.
CREATE FUNCTION goods_unobserved(excursions bigint[], at timestamptz)
  RETURNS TABLE (excursion bigint, tonne_hours float8, unobserved float8)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH leg AS MATERIALIZED (
    SELECT row_number() OVER () AS leg, goods.id, goods.kilograms, lower(goods.valid) AS since,
           greatest(lower(goods.valid), least(coalesce(upper(goods.valid), at), at)) AS until,
           CASE WHEN goods.in_vehicle OR goods.place IS NULL THEN goods.inside ELSE goods.inside || goods.place END AS around, rule.positions
    FROM unnest(excursions) AS asked (id) CROSS JOIN LATERAL (SELECT * FROM excursion_goods AS each WHERE each.id = asked.id OFFSET 0) AS goods JOIN excursion ON excursion.id = goods.id
    JOIN limit_version AS rule ON rule.id = excursion.limit_id AND rule.version = excursion.limit_version
    ),
  covered AS (
    SELECT leg.leg, rolled.hour, max(
      greatest(0, extract(epoch FROM least(leg.until, upper(placement.valid), rolled.last_at + device.interval_s * INTERVAL '1 second')
                                   - greatest(leg.since, lower(placement.valid), rolled.first_at)))
      * least(1, rolled.n * device.interval_s / (extract(epoch FROM rolled.last_at - rolled.first_at) + device.interval_s))) AS seconds
    FROM leg CROSS JOIN LATERAL unnest(leg.around) AS thing (name)
    JOIN placement ON placement.parent = thing.name AND NOT placement.conflict
      AND placement.valid && tstzrange(leg.since, leg.until) AND placement.probe_position = ANY (leg.positions)
    JOIN series ON series.id = placement.series_id AND series.quantity = 'temperature'
    JOIN device ON device.id = series.device_id
    JOIN reading_1h AS rolled ON rolled.series_id = series.id AND rolled.hour > leg.since - INTERVAL '1 hour' AND rolled.hour < leg.until
    GROUP BY leg.leg, rolled.hour)
  SELECT leg.id, sum(leg.kilograms * extract(epoch FROM leg.until - leg.since)) / 3.6e6,
         sum(leg.kilograms * greatest(0, extract(epoch FROM leg.until - leg.since) - coalesce(seen.seconds, 0))) / 3.6e6
  FROM leg LEFT JOIN (SELECT covered.leg, sum(covered.seconds) AS seconds FROM covered GROUP BY covered.leg) AS seen USING (leg)
  GROUP BY leg.id
$$;

CREATE TYPE excursion_row AS (
  id bigint, version integer, state text, merged_into bigint, organisation text, organisation_zh text, organisation_en text,
  device text, giai text, model text, accuracy_c float8, interval_s integer, channel text, series uuid, probe_position text,
  unit text, site text, site_zh text, site_en text, site_kind text, vehicle boolean, time_zone text, holder text, holder_zh
  text, holder_en text, limit_id text, limit_version integer, rule jsonb, start_time timestamptz, trigger_time timestamptz,
  end_time timestamptz, closed_by text, extreme float8, minutes_at_least float8, minutes_at_most float8, degree_minutes float8,
  kilograms float8, weight_at_least boolean, lots text[], stages text[], severity float8, tonne_hours float8, unobserved float8, concerns jsonb,
  opened_at timestamptz, computed_at timestamptz, total bigint);

-- The list. `filters`: from, to, region, product, place, holder, state, over_c, text, order (newest, worst), limit, offset;
-- what is absent or null does not filter. `at`: what time it is. Newest: what lasts before what is over. Worst: °C beyond the limit x minutes x kg, of those kg that are
-- known: one box without a weight does not take a truck out of the list's head.
CREATE FUNCTION excursion_rows(wanted bigint, filters jsonb, at timestamptz)
  RETURNS SETOF excursion_row
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH seen AS MATERIALIZED (
    SELECT * FROM excursions_of_asker(wanted, (filters ->> 'from')::timestamptz, (filters ->> 'to')::timestamptz)),
  leg AS MATERIALIZED (
    SELECT goods.id, goods.lot, goods.inside, goods.site, goods.holder, goods.kilograms, goods.touched,
           greatest(0, extract(epoch FROM least(coalesce(upper(goods.touched), at), at) - lower(goods.touched))) AS seconds
    FROM seen CROSS JOIN LATERAL (SELECT * FROM excursion_goods AS each WHERE each.id = seen.excursion OFFSET 0) AS goods),
  weight AS (
    SELECT leg.id, array_agg(DISTINCT leg.lot) AS lots,
           sum(leg.kilograms * leg.seconds) AS kilogram_seconds, count(*) <> count(leg.kilograms) AS weight_at_least,
           extract(epoch FROM max(least(coalesce(upper(leg.touched), at), at)) - min(lower(leg.touched))) AS seconds
    FROM leg GROUP BY leg.id),
  main AS (   -- where and with whom it was when the alarm was due
    SELECT DISTINCT ON (leg.id) leg.id, leg.site, leg.holder, leg.inside
    FROM leg JOIN excursion ON excursion.id = leg.id
    ORDER BY leg.id, leg.touched @> excursion.trigger_time DESC, leg.seconds DESC, leg.site),
  found AS (
    SELECT excursion.*, seen.concerns, seen.stages, probe.parent, probe.probe_position AS probe_at, main.site AS at_site, main.holder AS with_party,
           weight.lots, coalesce(weight.weight_at_least, false) AS weight_at_least, weight.kilogram_seconds / nullif(weight.seconds, 0) AS kilograms,
           excursion.degree_minutes * weight.kilogram_seconds / nullif(weight.seconds, 0) AS severity
    FROM seen JOIN excursion ON excursion.id = seen.excursion
    LEFT JOIN excursion_probe AS probe ON probe.id = excursion.id
    LEFT JOIN main ON main.id = excursion.id LEFT JOIN weight ON weight.id = excursion.id),
  kept AS (
    SELECT found.*, rule.body AS rule, rule.product,
           device.external_id, device.giai, device.model, device.accuracy_c, device.interval_s, series.channel, series.uuid,
           place.name_zh AS site_zh, place.name_en AS site_en, place.kind AS site_kind, place.vehicle, place.time_zone,
           owner.name_zh AS owner_zh, owner.name_en AS owner_en, holder.id AS holder_id, holder.name_zh AS holder_zh, holder.name_en AS holder_en
    FROM found
    JOIN limit_version AS rule ON rule.id = found.limit_id AND rule.version = found.limit_version
    JOIN series ON series.id = found.series_id JOIN device ON device.id = series.device_id
    JOIN organisation AS owner ON owner.id = found.organisation
    LEFT JOIN ground AS place ON place.id = coalesce(found.at_site, found.parent)
    LEFT JOIN seat AS holder ON holder.party = found.with_party
    WHERE (CASE WHEN filters ->> 'state' IS NULL THEN wanted IS NOT NULL OR found.state IN ('open', 'closed') ELSE found.state = filters ->> 'state' END)
      AND (filters ->> 'product' IS NULL OR rule.product = filters ->> 'product')
      AND (filters ->> 'over_c' IS NULL OR (found.extreme - (rule.body ->> 'limit_c')::float8)
           * CASE rule.body ->> 'side' WHEN 'below' THEN -1 ELSE 1 END >= (filters ->> 'over_c')::float8)
      AND (filters ->> 'region' IS NULL OR EXISTS (SELECT FROM jsonb_array_elements(found.concerns) AS each
           WHERE starts_with(each ->> 'region', filters ->> 'region')))
      AND (filters ->> 'place' IS NULL OR found.parent = filters ->> 'place'
           OR EXISTS (SELECT FROM leg WHERE leg.id = found.id AND leg.site = filters ->> 'place'))
      AND (filters ->> 'holder' IS NULL OR EXISTS (SELECT FROM leg JOIN seat ON seat.party = leg.holder
           WHERE leg.id = found.id AND seat.id = filters ->> 'holder'))
      AND (filters ->> 'text' IS NULL OR position(lower(filters ->> 'text') IN lower(concat_ws(' ', found.id, place.id, place.name_zh, place.name_en,
           holder.name_zh, holder.name_en, owner.name_zh, owner.name_en, device.external_id, found.parent, array_to_string(found.lots, ' ')))) > 0)),
  page AS MATERIALIZED (
    SELECT kept.*, count(*) OVER () AS total,
           row_number() OVER (ORDER BY CASE WHEN filters ->> 'order' = 'worst' THEN kept.severity END DESC NULLS LAST, kept.state = 'open' DESC, kept.trigger_time DESC, kept.id DESC) AS place_in_list
    FROM kept
    ORDER BY place_in_list LIMIT coalesce((filters ->> 'limit')::integer, 50) OFFSET coalesce((filters ->> 'offset')::integer, 0))
  SELECT page.id, page.version, page.state, page.merged_into, page.organisation, page.owner_zh, page.owner_en,
         page.external_id, page.giai, page.model, page.accuracy_c, page.interval_s, page.channel, page.uuid, page.probe_at,
         CASE WHEN page.parent IS DISTINCT FROM coalesce(page.at_site, page.parent) THEN page.parent END,
         coalesce(page.at_site, page.parent), page.site_zh, page.site_en, page.site_kind, page.vehicle, coalesce(page.time_zone, 'Asia/Shanghai'),
         page.holder_id, page.holder_zh, page.holder_en, page.limit_id, page.limit_version, page.rule, page.start_time, page.trigger_time,
         page.end_time, page.closed_by, page.extreme, page.minutes_at_least, page.minutes_at_most, page.degree_minutes, page.kilograms,
         page.weight_at_least, coalesce(page.lots, '{}'), page.stages, page.severity, gone.tonne_hours, gone.unobserved, page.concerns, page.opened_at, page.computed_at, page.total
  FROM page LEFT JOIN goods_unobserved(ARRAY(SELECT page.id FROM page), at) AS gone ON gone.excursion = page.id
  ORDER BY page.place_in_list
$$;

CREATE FUNCTION official_excursions(filters jsonb, at timestamptz) RETURNS SETOF excursion_row
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$ SELECT * FROM excursion_rows(NULL, filters, at) $$;
CREATE FUNCTION official_excursion(wanted bigint, at timestamptz) RETURNS SETOF excursion_row
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$ SELECT * FROM excursion_rows(wanted, '{}', at) WHERE wanted IS NOT NULL $$;

-- One breach down to its readings, each only for whom it concerns: an hour on either side, so that one sees it begin and end.
CREATE FUNCTION official_readings(wanted bigint, at timestamptz)
  RETURNS TABLE ("time" timestamptz, value float8, flags smallint, received_at timestamptz, beyond boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT store.time, store.value, store.flags, batch.received_at, tstzrange(excursion.start_time, excursion.end_time) @> store.time
  FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion ON excursion.id = seen.excursion
  JOIN reading_store AS store ON store.series_id = excursion.series_id
    AND store.time >= excursion.start_time - INTERVAL '1 hour'
    AND store.time <= coalesce(excursion.end_time + INTERVAL '1 hour', at)
  LEFT JOIN batch ON batch.id = store.batch_id
  WHERE wanted IS NOT NULL
  ORDER BY store.time LIMIT 100000
$$;

CREATE FUNCTION official_versions(wanted bigint) RETURNS TABLE (version integer, body jsonb, computed_at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT kept.version, kept.body, kept.computed_at
  FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion_version AS kept ON kept.excursion = seen.excursion
  WHERE wanted IS NOT NULL ORDER BY kept.version
$$;

-- The goods around the probe while it lasted, leg by leg: where, with whom, how much, from where.
CREATE FUNCTION official_goods(wanted bigint, at timestamptz)
  RETURNS TABLE (lot text, product_zh text, product_en text, unit text, stage text, site text, site_zh text, site_en text, vehicle boolean,
    standing_zh text, standing_en text, holder text, holder_zh text, holder_en text, kilograms float8, since timestamptz, until timestamptz,
    origins jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT goods.lot, product.name_zh, product.name_en,
         CASE WHEN goods.inside[1] IS DISTINCT FROM goods.site THEN goods.inside[1] END, goods.stage, goods.site, site.name_zh, site.name_en, goods.in_vehicle,
         CASE WHEN goods.in_vehicle THEN standing.name_zh END, CASE WHEN goods.in_vehicle THEN standing.name_en END,
         holder.id, coalesce(holder.name_zh, goods.holder), coalesce(holder.name_en, goods.holder), goods.kilograms,
         lower(goods.touched), upper(goods.touched),
         (SELECT jsonb_agg(DISTINCT jsonb_build_object('zh', grown.name_zh, 'en', grown.name_en, 'region', grown.region))
          FROM lot_origin AS origin JOIN ground AS grown ON grown.id IN (origin.place, split_part(origin.place, '/254/', 1)) WHERE origin.lot = goods.lot)
  FROM excursions_of_asker(wanted, NULL, NULL) AS seen CROSS JOIN LATERAL (SELECT * FROM excursion_goods AS each WHERE each.id = seen.excursion OFFSET 0) AS goods
  LEFT JOIN ground AS site ON site.id = goods.site
  LEFT JOIN ground AS standing ON standing.id = goods.place
  LEFT JOIN seat AS holder ON holder.party = goods.holder
  LEFT JOIN LATERAL (SELECT product.name_zh, product.name_en FROM product, unnest(product.classes) AS class (uri)
    WHERE goods.lot = uri OR starts_with(goods.lot, uri || '/') OR starts_with(goods.lot, uri || '.') ORDER BY length(uri) DESC LIMIT 1) AS product ON true
  WHERE wanted IS NOT NULL
  ORDER BY lower(goods.touched), goods.lot, goods.inside
$$;

-- Where the probe was said to sit meanwhile, by the record.
CREATE FUNCTION official_placements(wanted bigint)
  RETURNS TABLE (parent text, parent_zh text, parent_en text, probe_position text, since timestamptz, until timestamptz, conflict boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT placement.parent, place.name_zh, place.name_en, placement.probe_position, lower(placement.valid), upper(placement.valid), placement.conflict
  FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion ON excursion.id = seen.excursion
  JOIN placement ON placement.series_id = excursion.series_id AND placement.valid && tstzrange(excursion.start_time, excursion.end_time, '[]')
  LEFT JOIN ground AS place ON place.id = placement.parent
  WHERE wanted IS NOT NULL ORDER BY lower(placement.valid)
$$;

CREATE FUNCTION official_calibrations(wanted bigint)
  RETURNS TABLE (certificate text, laboratory text, calibrated_on date, due_on date, counts_until date)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT calibration.certificate, calibration.laboratory, calibration.calibrated_on, calibration.due_on,
         coalesce(calibration.due_on, (calibration.calibrated_on + (   -- the duty's own months, where it names no end
           SELECT min((newest.body ->> 'validity_months')::integer) FROM (SELECT DISTINCT ON (id) * FROM duty_rule ORDER BY id, version DESC) AS newest
           WHERE newest.kind = 'calibration') * INTERVAL '1 month')::date)
  FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion ON excursion.id = seen.excursion
  JOIN series ON series.id = excursion.series_id JOIN calibration ON calibration.device_id = series.device_id
  WHERE wanted IS NOT NULL ORDER BY calibration.calibrated_on
$$;

-- Sealed windows over the excursion; and the rows of one of those hours, for rebuilding its window.
CREATE FUNCTION official_windows(wanted bigint, at timestamptz)
  RETURNS TABLE (id bigint, organisation text, device_id integer, start_time timestamptz, version integer, closed text, readings integer, root bytea,
    leaf_keys bytea, leaf_index bigint, leaf_hash bytea, record_time timestamptz, origin text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT sealed.id, sealed.organisation, sealed.device_id, sealed.start_time, sealed.version, sealed.closed, sealed.readings, sealed.root, sealed.leaf_keys,
         leaf.leaf_index, leaf.leaf_hash, leaf.record_time, log.origin
  FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion ON excursion.id = seen.excursion
  JOIN series ON series.id = excursion.series_id
  JOIN sealed_window AS sealed ON sealed.device_id = series.device_id
    AND sealed.start_time > excursion.start_time - INTERVAL '1 hour' AND sealed.start_time <= coalesce(excursion.end_time, at)
  JOIN leaf ON leaf.sealed_window = sealed.id JOIN log ON log.organisation = sealed.organisation
  WHERE wanted IS NOT NULL ORDER BY sealed.start_time, sealed.version
$$;

CREATE FUNCTION official_device_hour(wanted bigint, hour timestamptz, at timestamptz)
  RETURNS TABLE (series uuid, time_ms bigint, value float8, flags smallint, body jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH mine AS MATERIALIZED (
    SELECT series.id, series.uuid
    FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion ON excursion.id = seen.excursion
    JOIN series AS measured ON measured.id = excursion.series_id JOIN series ON series.device_id = measured.device_id
    WHERE wanted IS NOT NULL AND hour > excursion.start_time - INTERVAL '1 hour' AND hour <= coalesce(excursion.end_time, at))
  SELECT mine.uuid, (extract(epoch FROM store.time) * 1000)::bigint, store.value, store.flags, NULL::jsonb
  FROM mine JOIN reading_store AS store ON store.series_id = mine.id AND store.time >= hour AND store.time < hour + INTERVAL '1 hour'
  UNION ALL
  SELECT mine.uuid, (extract(epoch FROM seen.time) * 1000)::bigint, NULL::float8, seen.flags, seen.body
  FROM mine JOIN observation AS seen ON seen.series_id = mine.id AND seen.time >= hour AND seen.time < hour + INTERVAL '1 hour'
$$;

-- Stays of goods that needed cold, of the asker's area and department, cut to the period. `around`: whatever a probe could sit in.
-- `concerns`: why the asker sees it; null unless `why`, since the lists need it and the counts do not.
CREATE TYPE cold_stay AS (
  stay bigint, lot text, inside text[], site text, site_organisation text, vehicle boolean, holder text, stages text[], limit_id text,
  limit_version integer, positions text[], around text[], kilograms float8, span tstzrange, lasts boolean, concerns jsonb);

CREATE FUNCTION cold_stays_of_asker(since timestamptz, until timestamptz, at timestamptz, why boolean) RETURNS SETOF cold_stay
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH scope AS MATERIALIZED (SELECT * FROM asker_scope()),
  goods AS (
    SELECT cold.*, cold.stage IN ('arrived', 'stall', 'shelf') AS marketed, cold.valid * tstzrange(since, least(until, at)) AS cut
    FROM scope CROSS JOIN cold_goods AS cold
    WHERE cold.valid && tstzrange(since, least(until, at))
      AND CASE WHEN cold.stage IN ('arrived', 'stall', 'shelf') THEN scope.market ELSE scope.agriculture END),
  merged AS MATERIALIZED (
    SELECT goods.lot, goods.inside, goods.site, goods.in_vehicle, goods.holder, goods.marketed, goods.limit_id, goods.limit_version,
           any_value(goods.positions) AS positions, any_value(goods.around) AS around, array_agg(DISTINCT goods.stage) AS stages, range_agg(goods.cut) AS spans, bool_or(upper_inf(goods.valid)) AS lasts,
           sum(goods.kilograms * extract(epoch FROM upper(goods.cut) - lower(goods.cut)))
             / nullif(sum(extract(epoch FROM upper(goods.cut) - lower(goods.cut))) FILTER (WHERE goods.kilograms IS NOT NULL), 0) AS kilograms
    FROM goods GROUP BY 1, 2, 3, 4, 5, 6, 7, 8),
  stay AS MATERIALIZED (
    SELECT row_number() OVER () AS stay, merged.*, part.span, ground.organisation AS site_organisation
    FROM merged CROSS JOIN LATERAL unnest(merged.spans) AS part (span) LEFT JOIN ground ON ground.id = merged.site),
  area AS MATERIALIZED (
    SELECT ground.id, ground.region FROM scope CROSS JOIN ground WHERE ground.region IS NOT NULL AND lies_in(ground.region, scope.regions)),
  seated AS MATERIALIZED (
    SELECT seat.id, seat.party, seat.region FROM scope CROSS JOIN seat WHERE seat.region IS NOT NULL AND lies_in(seat.region, scope.regions)),
  lots AS MATERIALIZED (SELECT own.* FROM lots_of_asker(ARRAY(SELECT DISTINCT stay.lot FROM stay)) AS own),
  concerned AS (
    SELECT stay.stay, 'place' AS basis, area.id AS place, area.region
    FROM stay CROSS JOIN LATERAL (VALUES (stay.site), (split_part(stay.site, '/254/', 1))) AS at (place) JOIN area ON area.id = at.place
    UNION
    SELECT stay.stay, 'seat', seated.id, seated.region FROM stay JOIN seated ON seated.party = stay.holder WHERE stay.in_vehicle OR stay.site IS NULL
    UNION
    SELECT stay.stay, 'seat', seated.id, seated.region FROM stay JOIN seated ON seated.id = stay.site_organisation WHERE stay.in_vehicle
    UNION
    SELECT stay.stay, lots.basis, lots.place, lots.region FROM stay JOIN lots ON lots.lot = stay.lot
    WHERE lots.since IS NULL OR lots.since >= lower(stay.span)),
  near AS (
    SELECT concerned.stay, jsonb_agg(jsonb_build_object('basis', concerned.basis, 'place', concerned.place, 'region', concerned.region)
             ORDER BY concerned.basis, concerned.region, concerned.place) FILTER (WHERE why) AS concerns
    FROM concerned GROUP BY concerned.stay)
  SELECT stay.stay, stay.lot, stay.inside, stay.site, stay.site_organisation, stay.in_vehicle, stay.holder, stay.stages, stay.limit_id, stay.limit_version,
         stay.positions, stay.around, stay.kilograms, stay.span, stay.lasts AND upper(stay.span) = least(until, at), near.concerns
  FROM stay JOIN near USING (stay)
$$;

-- What one can choose to filter by: places, holders and products of the breaches and of the stays that one sees.
CREATE FUNCTION official_choices(since timestamptz, until timestamptz, at timestamptz)
  RETURNS TABLE (kind text, value text, name_zh text, name_en text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH leg AS MATERIALIZED (
    SELECT goods.site, goods.holder, rule.product
    FROM excursions_of_asker(NULL, since, until) AS seen JOIN excursion ON excursion.id = seen.excursion
    JOIN limit_version AS rule ON rule.id = excursion.limit_id AND rule.version = excursion.limit_version
    CROSS JOIN LATERAL (SELECT * FROM excursion_goods AS each WHERE each.id = seen.excursion OFFSET 0) AS goods
    UNION
    SELECT stay.site, stay.holder, rule.product FROM cold_stays_of_asker(since, until, at, false) AS stay
    JOIN limit_version AS rule ON rule.id = stay.limit_id AND rule.version = stay.limit_version)
  SELECT DISTINCT 'place', ground.id, ground.name_zh, ground.name_en FROM leg JOIN ground ON ground.id = leg.site
  UNION SELECT DISTINCT 'holder', seat.id, seat.name_zh, seat.name_en FROM leg JOIN seat ON seat.party = leg.holder
  UNION SELECT DISTINCT 'product', leg.product, leg.product, leg.product FROM leg
  ORDER BY 1, 3, 2
$$;

-- How many stays of goods that needed cold there were, and how many can be told: breached (a breach touched them); kept (a sensor
-- all the time, nothing beyond what its accuracy leaves open, no silence as long as the rule's minutes); the others cannot be told
-- from the hours' counts and extremes.
CREATE FUNCTION official_summary(since timestamptz, until timestamptz, at timestamptz)
  RETURNS TABLE (stays bigint, breached bigint, kept bigint, tonne_hours float8, unobserved float8)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH stay AS MATERIALIZED (SELECT * FROM cold_stays_of_asker(since, until, at, false)),
  rule AS MATERIALIZED (
    SELECT id, version, (body ->> 'limit_c')::float8 AS limit_c, (body ->> 'guard_band_c')::float8 AS guard_c, body ->> 'side' AS side,
           (body ->> 'minutes')::float8 * 60 AS hold
    FROM limit_version),
  around AS MATERIALIZED (   -- first, or all placements would be gone through for each stay
    SELECT stay.stay, stay.limit_id, stay.limit_version, stay.span, stay.positions, thing.name FROM stay CROSS JOIN LATERAL unnest(stay.around) AS thing (name)),
  sensor AS MATERIALIZED (
    SELECT around.stay, around.limit_id, around.limit_version, placement.valid * around.span AS span, series.id AS series_id, device.accuracy_c,
           device.interval_s, rule.limit_c, rule.guard_c, rule.side
    FROM around JOIN rule ON rule.id = around.limit_id AND rule.version = around.limit_version
    JOIN placement ON placement.parent = around.name AND NOT placement.conflict AND placement.valid && around.span
      AND placement.probe_position = ANY (around.positions)
    JOIN series ON series.id = placement.series_id AND series.quantity = 'temperature' JOIN device ON device.id = series.device_id),
  rolled AS MATERIALIZED (
    SELECT sensor.stay, hours.hour,
           CASE sensor.side WHEN 'below' THEN hours.minimum - sensor.accuracy_c - sensor.guard_c < sensor.limit_c
                            ELSE hours.maximum + sensor.accuracy_c + sensor.guard_c > sensor.limit_c END AS beyond,
           greatest(0, extract(epoch FROM least(upper(sensor.span), hours.last_at + sensor.interval_s * INTERVAL '1 second')
                                        - greatest(lower(sensor.span), hours.first_at)))
           * least(1, hours.n * sensor.interval_s / (extract(epoch FROM hours.last_at - hours.first_at) + sensor.interval_s)) AS seconds
    FROM sensor JOIN reading_1h AS hours ON hours.series_id = sensor.series_id
      AND hours.hour > lower(sensor.span) - INTERVAL '1 hour' AND hours.hour < upper(sensor.span)),
  seen AS (
    SELECT best.stay, sum(best.seconds) AS seconds, bool_or(best.beyond) AS beyond
    FROM (SELECT rolled.stay, rolled.hour, max(rolled.seconds) AS seconds, bool_or(rolled.beyond) AS beyond FROM rolled GROUP BY rolled.stay, rolled.hour) AS best
    GROUP BY best.stay),
  hurt AS (
    SELECT sensor.stay FROM sensor JOIN excursion ON excursion.series_id = sensor.series_id AND excursion.state IN ('open', 'closed')
      AND excursion.limit_id = sensor.limit_id AND excursion.limit_version = sensor.limit_version
      AND sensor.span && tstzrange(excursion.start_time, excursion.end_time)),
  told AS (
    SELECT stay.kilograms, extract(epoch FROM upper(stay.span) - lower(stay.span)) AS seconds, coalesce(seen.seconds, 0) AS covered,
           rule.hold, stay.stay IN (SELECT hurt.stay FROM hurt) AS breached, coalesce(seen.beyond, true) AS beyond
    FROM stay JOIN rule ON rule.id = stay.limit_id AND rule.version = stay.limit_version LEFT JOIN seen USING (stay))
  SELECT count(*), count(*) FILTER (WHERE breached), count(*) FILTER (WHERE NOT breached AND NOT beyond AND seconds - covered < hold),
         sum(kilograms * seconds) / 3.6e6, sum(kilograms * greatest(0, seconds - covered)) / 3.6e6
  FROM told
$$;

-- Record duties that were not kept. Facts of the record; what follows from one is for the authority to say.
CREATE TYPE duty_found AS (
  kind text, rule_id text, stay bigint, device_id integer, gaps tstzmultirange, bare boolean, since timestamptz, until timestamptz);

-- Minutes without a reading: what lies between two readings of a sensor is known unless they are farther apart than the rule's
-- factor times the interval; any sensor around the goods counts. Each sensor is heard once, however many goods were around it, and
-- only where its hours' counts leave room for a gap are the readings themselves read. What a device may still upload is no gap yet.
-- (The planner takes a list of stays for ten: without the hint it would go through all of them for each of them.)
CREATE FUNCTION duties_missing(stays cold_stay[], at timestamptz) RETURNS SETOF duty_found
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET enable_nestloop = off AS $$
  WITH rule AS MATERIALIZED (
    SELECT DISTINCT ON (id) id, (body ->> 'gap_factor')::float8 AS factor, (body ->> 'upload_grace_minutes')::float8 * INTERVAL '1 minute' AS grace
    FROM duty_rule WHERE kind = 'missing_record' ORDER BY id, version DESC),
  patience AS MATERIALIZED (   -- of a place without any device: a stay shorter than one interval of its rule needs no reading
    SELECT place_kind, min(newest.max_interval_s) AS seconds
    FROM (SELECT DISTINCT ON (id) * FROM duty_rule WHERE kind = 'interval_too_long' ORDER BY id, version DESC) AS newest, unnest(newest.place_kinds) AS place_kind
    GROUP BY place_kind),
  stay AS MATERIALIZED (SELECT * FROM unnest(stays)),
  sensor AS MATERIALIZED (
    SELECT stay.stay, placement.id AS placement, placement.valid AS placed, placement.valid * stay.span AS span, series.id AS series_id, device.interval_s,
           rule.id AS rule_id, device.interval_s * rule.factor * INTERVAL '1 second' AS reach, rule.grace
    FROM rule CROSS JOIN stay CROSS JOIN LATERAL unnest(stay.around) AS thing (name)
    JOIN placement ON placement.parent = thing.name AND NOT placement.conflict AND placement.valid && stay.span
      AND placement.probe_position = ANY (stay.positions)
    JOIN series ON series.id = placement.series_id AND series.quantity = 'temperature' JOIN device ON device.id = series.device_id),
  heard AS MATERIALIZED (
    SELECT series_id, rule_id, interval_s, reach, grace, min(lower(span)) - reach AS since, max(upper(span)) + reach AS until
    FROM sensor GROUP BY 1, 2, 3, 4, 5),
  break AS MATERIALIZED (   -- hours with room for a gap, and what lies between two hours too far apart; null: the first and the last
    SELECT heard.series_id, heard.rule_id, heard.reach, heard.since AS begins, heard.until AS ends, kept.*
    FROM heard LEFT JOIN LATERAL (
      SELECT * FROM (
        SELECT each.first_at, each.last_at, lag(each.last_at) OVER in_turn AS before, lead(each.first_at) OVER in_turn AS next,
               extract(epoch FROM each.last_at - each.first_at) + heard.interval_s - each.n * heard.interval_s >= 60 AS doubtful
        FROM reading_1h AS each WHERE each.series_id = heard.series_id AND each.hour > heard.since - INTERVAL '1 hour' AND each.hour < heard.until
        WINDOW in_turn AS (ORDER BY each.hour)) AS every
      WHERE doubtful OR before IS NULL OR next IS NULL OR next - last_at > heard.reach) AS kept ON true),
  unsure AS MATERIALIZED (
    SELECT series_id, rule_id, reach, first_at AS since, last_at AS until FROM break WHERE doubtful
    UNION SELECT series_id, rule_id, reach, last_at, next FROM break WHERE next - last_at > reach
    UNION SELECT series_id, rule_id, reach, begins, coalesce(first_at, ends) FROM break WHERE before IS NULL AND begins < coalesce(first_at, ends)
    UNION SELECT series_id, rule_id, reach, last_at, ends FROM break WHERE next IS NULL AND last_at < ends),
  reading AS (
    SELECT unsure.series_id, unsure.rule_id, unsure.reach, store.time, lead(store.time) OVER (PARTITION BY unsure.series_id, unsure.rule_id, unsure.since, unsure.until ORDER BY store.time) AS next
    FROM unsure CROSS JOIN LATERAL (
      SELECT each.time FROM reading_store AS each WHERE each.series_id = unsure.series_id AND each.time >= unsure.since AND each.time <= unsure.until OFFSET 0) AS store),
  known AS MATERIALIZED (
    SELECT series_id, rule_id, coalesce(sure.parts, '{}') + coalesce(told.parts, '{}') AS parts
    FROM (SELECT series_id, rule_id, tstzmultirange(tstzrange(min(first_at), max(last_at), '[]')) - coalesce(unsure.parts, '{}') AS parts
          FROM break LEFT JOIN (SELECT series_id, rule_id, range_agg(tstzrange(since, until)) AS parts FROM unsure GROUP BY 1, 2) AS unsure USING (series_id, rule_id)
          WHERE first_at IS NOT NULL GROUP BY series_id, rule_id, unsure.parts) AS sure
    FULL JOIN (
      SELECT series_id, rule_id, range_agg(part) AS parts FROM (
        SELECT series_id, rule_id, tstzrange(time, next) AS part FROM reading WHERE next - time <= reach
        UNION ALL SELECT series_id, rule_id, tstzrange(last_ever, NULL) FROM heard CROSS JOIN LATERAL (
          SELECT max(store.time) AS last_ever FROM reading_store AS store WHERE store.series_id = heard.series_id) AS ever
          WHERE at - last_ever <= greatest(grace, reach)) AS each
      GROUP BY 1, 2) AS told USING (series_id, rule_id)),
  -- From where a sensor was put to its first reading, and from the last to where it was taken away, when that is near.
  edge AS MATERIALIZED (
    SELECT sat.placement, sat.rule_id, range_agg(part) AS parts
    FROM (SELECT DISTINCT placement, rule_id, series_id, placed, reach FROM sensor) AS sat JOIN heard USING (series_id, rule_id)
    CROSS JOIN LATERAL (
      SELECT tstzrange(lower(placed), min(store.time)) AS part FROM reading_store AS store
      WHERE lower(placed) >= since AND store.series_id = sat.series_id AND store.time <@ placed AND store.time >= lower(placed) AND store.time <= lower(placed) + sat.reach
      UNION ALL
      SELECT tstzrange(max(store.time), upper(placed)) FROM reading_store AS store
      WHERE upper(placed) <= until AND store.series_id = sat.series_id AND store.time <@ placed AND store.time >= upper(placed) - sat.reach AND store.time <= upper(placed)) AS near
    WHERE NOT lower_inf(part) AND NOT upper_inf(part)
    GROUP BY 1, 2),
  silent AS (
    SELECT stay.stay, sensed.rule_id, false AS bare, tstzmultirange(stay.span) - sensed.parts AS gaps
    FROM stay JOIN (
      SELECT sensor.stay, sensor.rule_id, range_agg((coalesce(known.parts, '{}') + coalesce(edge.parts, '{}')) * tstzmultirange(sensor.span)) AS parts
      FROM sensor LEFT JOIN known USING (series_id, rule_id) LEFT JOIN edge USING (placement, rule_id) GROUP BY 1, 2) AS sensed USING (stay)
    UNION ALL
    SELECT stay.stay, rule.id, true, tstzmultirange(stay.span) FROM rule CROSS JOIN stay
    JOIN patience ON patience.place_kind = CASE WHEN stay.vehicle OR stay.site IS NULL THEN 'vehicle' ELSE 'place' END
    WHERE NOT EXISTS (SELECT FROM sensor WHERE sensor.stay = stay.stay) AND upper(stay.span) - lower(stay.span) > patience.seconds * INTERVAL '1 second')
  SELECT 'missing_record', silent.rule_id, silent.stay, NULL::integer, long.gaps, silent.bare, lower(long.gaps),
         CASE WHEN NOT (stay.lasts AND upper(long.gaps) = upper(stay.span)) THEN upper(long.gaps) END
  FROM silent JOIN stay USING (stay)
  CROSS JOIN LATERAL (SELECT range_agg(gap) AS gaps FROM unnest(silent.gaps) AS gap WHERE upper(gap) - lower(gap) >= INTERVAL '1 minute') AS long
  WHERE long.gaps IS NOT NULL
    -- Who holds it must be somebody here: goods sold to a buyer nobody knows are nobody's record.
    AND (stay.holder IN (SELECT seat.party FROM seat) OR stay.site_organisation IN (SELECT seat.id FROM seat))
$$;

-- A recorder that measures more seldom than its rule asks, for as long as none that measures often enough is beside it and does
-- measure; and a device that was used on a day for which no calibration is on record.
CREATE FUNCTION duties_of_devices(stays cold_stay[]) RETURNS SETOF duty_found
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH newest AS MATERIALIZED (SELECT DISTINCT ON (id) * FROM duty_rule ORDER BY id, version DESC),
  stay AS MATERIALIZED (SELECT * FROM unnest(stays)),
  sensor AS MATERIALIZED (
    SELECT stay.stay, stay.lasts, stay.vehicle, upper(stay.span) AS ends, placement.valid * stay.span AS span, series.id AS series_id, device.id AS device_id,
           device.interval_s, coalesce(ground.time_zone, 'Asia/Shanghai') AS time_zone
    FROM stay CROSS JOIN LATERAL unnest(stay.around) AS thing (name) JOIN placement ON placement.parent = thing.name AND NOT placement.conflict AND placement.valid && stay.span
      AND placement.probe_position = ANY (stay.positions)
    JOIN series ON series.id = placement.series_id AND series.quantity = 'temperature' JOIN device ON device.id = series.device_id
    LEFT JOIN ground ON ground.id = stay.site),
  spell AS (
    SELECT sensor.*,
           CASE WHEN NOT (sensor.lasts AND upper(sensor.span) = sensor.ends) THEN upper(sensor.span) END AS until
    FROM sensor)
  SELECT newest.kind, newest.id, spell.stay, spell.device_id, alone.spans, false, lower(alone.spans),
         CASE WHEN upper(alone.spans) < upper(spell.span) THEN upper(alone.spans) ELSE spell.until END
  FROM spell JOIN newest ON newest.kind = 'interval_too_long' AND spell.interval_s > newest.max_interval_s
    AND CASE WHEN spell.vehicle THEN 'vehicle' ELSE 'place' END = ANY (newest.place_kinds)
  CROSS JOIN LATERAL (SELECT newest.max_interval_s * INTERVAL '1 second' AS most) AS allowed
  CROSS JOIN LATERAL (
    SELECT range_agg(part) AS spans FROM unnest(tstzmultirange(spell.span) - coalesce((
      SELECT range_agg(tstzrange(lower(fast.span), upper(fast.span)) * tstzrange(hours.first_at, hours.last_at + allowed.most))
      FROM sensor AS fast JOIN reading_1h AS hours ON hours.series_id = fast.series_id
        AND hours.hour > lower(fast.span) - INTERVAL '1 hour' AND hours.hour < upper(fast.span)
      WHERE fast.stay = spell.stay AND fast.interval_s <= newest.max_interval_s), '{}')) AS part
    WHERE upper(part) - lower(part) >= allowed.most) AS alone   -- what is shorter needs no reading
  WHERE alone.spans IS NOT NULL
  UNION ALL
  SELECT newest.kind, newest.id, spell.stay, spell.device_id, tstzmultirange(spell.span), false, lower(spell.span), spell.until
  FROM spell JOIN newest ON newest.kind = 'calibration'
  CROSS JOIN LATERAL (
    SELECT coalesce(range_agg(daterange(calibration.calibrated_on, coalesce(calibration.due_on,
             (calibration.calibrated_on + (newest.body ->> 'validity_months')::integer * INTERVAL '1 month')::date), '[]')), '{}') AS valid
    FROM calibration WHERE calibration.device_id = spell.device_id) AS calibrated
  WHERE NOT calibrated.valid @> daterange((lower(spell.span) AT TIME ZONE spell.time_zone)::date, (upper(spell.span) AT TIME ZONE spell.time_zone)::date, '[]')
$$;

CREATE TYPE duty_row AS (
  kind text, rule_id text, rule_version integer, rule jsonb, site text, site_zh text, site_en text, site_kind text, vehicle boolean,
  time_zone text, holder text, holder_zh text, holder_en text, bare boolean, device text, giai text, model text, interval_s integer,
  owner text, owner_zh text, owner_en text, calibrations jsonb, lots text[], units bigint, stages text[], tonne_hours float8, since timestamptz, until timestamptz, minutes float8,
  longest float8, gaps jsonb, placements jsonb, concerns jsonb, total bigint);

-- The second list: by rule, place or vehicle, who had the goods, and device. `filters` as in the first, and kind; newest first.
CREATE FUNCTION official_duties(filters jsonb, at timestamptz) RETURNS SETOF duty_row
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET enable_nestloop = off AS $$
  WITH period AS (SELECT (filters ->> 'from')::timestamptz AS since, (filters ->> 'to')::timestamptz AS until),
  listed AS MATERIALIZED (   -- once, for both: a stay's number is this list's
    SELECT coalesce(array_agg(kept), '{}') AS stays FROM period CROSS JOIN LATERAL cold_stays_of_asker(period.since, period.until, at, true) AS kept),
  stay AS MATERIALIZED (
    SELECT kept.*, filters ->> 'region' IS NULL OR EXISTS (
             SELECT FROM jsonb_array_elements(kept.concerns) AS each WHERE starts_with(each ->> 'region', filters ->> 'region')) AS inside_region
    FROM listed CROSS JOIN LATERAL unnest(listed.stays) AS kept),
  found AS MATERIALIZED (
    SELECT missing.* FROM listed CROSS JOIN LATERAL duties_missing(listed.stays, at) AS missing
    WHERE coalesce(filters ->> 'kind', 'missing_record') = 'missing_record'
    UNION ALL
    SELECT device.* FROM listed CROSS JOIN LATERAL duties_of_devices(listed.stays) AS device
    WHERE coalesce(filters ->> 'kind', device.kind) = device.kind),
  grouped AS MATERIALIZED (
    SELECT row_number() OVER () AS number, found.kind, found.rule_id, stay.site, coalesce(stay.holder, '') AS holder, stay.site_organisation, found.device_id, found.bare, stay.vehicle,
           array_agg(DISTINCT stay.lot) AS lots, count(DISTINCT coalesce(stay.inside[1], stay.lot)) AS units, range_agg(gap) AS gaps,
           sum(stay.kilograms * extract(epoch FROM upper(gap) - lower(gap))) / 3.6e6 AS tonne_hours,
           min(found.since) AS since, CASE WHEN count(*) = count(found.until) THEN max(found.until) END AS until,
           array_agg(DISTINCT stay.stay) AS stays, array_agg(DISTINCT stay.limit_id) AS limits, bool_or(stay.inside_region) AS inside_region
    FROM found JOIN stay USING (stay) CROSS JOIN LATERAL unnest(found.gaps) AS gap
    GROUP BY found.kind, found.rule_id, stay.site, coalesce(stay.holder, ''), stay.site_organisation, found.device_id, found.bare, stay.vehicle),
  named AS (
    SELECT grouped.*, rule.version, rule.body AS rule, ground.name_zh, ground.name_en, ground.kind AS site_kind, coalesce(ground.time_zone, 'Asia/Shanghai') AS time_zone,
           keeper.id AS keeper, keeper.name_zh AS keeper_zh, keeper.name_en AS keeper_en, device.external_id, device.giai, device.model, device.interval_s,
           owner.id AS owner, owner.name_zh AS owner_zh, owner.name_en AS owner_en
    FROM grouped
    JOIN LATERAL (SELECT duty_rule.* FROM duty_rule WHERE duty_rule.id = grouped.rule_id ORDER BY duty_rule.version DESC LIMIT 1) AS rule ON true
    LEFT JOIN ground ON ground.id = grouped.site
    LEFT JOIN LATERAL (SELECT seat.* FROM seat WHERE seat.party = grouped.holder OR seat.id = grouped.site_organisation
                       ORDER BY seat.party = grouped.holder DESC LIMIT 1) AS keeper ON true
    LEFT JOIN device ON device.id = grouped.device_id LEFT JOIN organisation AS owner ON owner.id = device.organisation),
  kept AS (
    SELECT named.*, count(*) OVER () AS total FROM named
    WHERE (filters ->> 'place' IS NULL OR named.site = filters ->> 'place')
      AND (filters ->> 'holder' IS NULL OR named.keeper = filters ->> 'holder')
      AND (filters ->> 'product' IS NULL OR EXISTS (SELECT FROM limit_version AS rule WHERE rule.id = ANY (named.limits) AND rule.product = filters ->> 'product'))
      AND named.inside_region
      AND (filters ->> 'text' IS NULL OR position(lower(filters ->> 'text') IN lower(concat_ws(' ', named.site, named.name_zh, named.name_en,
           named.keeper_zh, named.keeper_en, named.external_id, array_to_string(named.lots, ' ')))) > 0)),
  page AS MATERIALIZED (
    SELECT * FROM kept ORDER BY kept.since DESC, kept.kind, kept.site, kept.external_id
    LIMIT coalesce((filters ->> 'limit')::integer, 50) OFFSET coalesce((filters ->> 'offset')::integer, 0)),
  shown AS MATERIALIZED (SELECT page.number, stay.* FROM page CROSS JOIN LATERAL unnest(page.stays) AS part (stay) JOIN stay USING (stay)),
  placed AS MATERIALIZED (
    SELECT shown.number, device.id AS device_id, jsonb_build_object('device', device.external_id, 'parent', placement.parent, 'position', placement.probe_position,
             'since', lower(placement.valid), 'until', upper(placement.valid), 'interval_s', device.interval_s) AS said
    FROM shown CROSS JOIN LATERAL unnest(shown.around) AS thing (name) JOIN placement ON placement.parent = thing.name AND NOT placement.conflict AND placement.valid && shown.span
      AND placement.probe_position = ANY (shown.positions)
    JOIN series ON series.id = placement.series_id AND series.quantity = 'temperature' JOIN device ON device.id = series.device_id)
  SELECT page.kind, page.rule_id, page.version, page.rule, page.site, page.name_zh, page.name_en, page.site_kind, page.vehicle, page.time_zone,
         page.keeper, page.keeper_zh, page.keeper_en, page.bare, page.external_id, page.giai, page.model, page.interval_s,
         page.owner, page.owner_zh, page.owner_en,
         (SELECT jsonb_agg(jsonb_build_object('certificate', calibration.certificate, 'laboratory', calibration.laboratory,
            'calibrated_on', calibration.calibrated_on, 'due_on', calibration.due_on) ORDER BY calibration.calibrated_on)
          FROM calibration WHERE calibration.device_id = page.device_id),
         page.lots, page.units, (SELECT array_agg(DISTINCT stage) FROM shown, unnest(shown.stages) AS stage WHERE shown.number = page.number),
         page.tonne_hours, page.since, page.until,
         (SELECT sum(extract(epoch FROM upper(gap) - lower(gap))) / 60 FROM unnest(page.gaps) AS gap),
         (SELECT max(extract(epoch FROM upper(gap) - lower(gap))) / 60 FROM unnest(page.gaps) AS gap),
         (SELECT jsonb_agg(jsonb_build_object('from', lower(gap), 'to', upper(gap)) ORDER BY gap) FROM (
            SELECT gap FROM unnest(page.gaps) AS gap ORDER BY gap LIMIT 50) AS first),
         (SELECT jsonb_agg(DISTINCT placed.said) FROM placed WHERE placed.number = page.number AND (page.device_id IS NULL OR placed.device_id = page.device_id)),
         (SELECT jsonb_agg(DISTINCT each) FROM shown CROSS JOIN LATERAL jsonb_array_elements(shown.concerns) AS each WHERE shown.number = page.number), page.total
  FROM page ORDER BY page.since DESC, page.kind, page.site, page.external_id
$$;

-- What was measured and said when these goods changed hands, a day before to a day after: a carrier is judged by what it took in.
CREATE FUNCTION official_hand_overs(wanted bigint)
  RETURNS TABLE (event_time timestamptz, biz_step text, organisation text, organisation_zh text, organisation_en text, units text[],
    agreed text, set_point text, compartment text, seals jsonb, seal_intact text, remark text, pulp_min float8, pulp_max float8, pulp_count integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH goods AS MATERIALIZED (
    SELECT DISTINCT unit.name, excursion.start_time, excursion.end_time
    FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion ON excursion.id = seen.excursion
    CROSS JOIN LATERAL (SELECT * FROM excursion_goods AS each WHERE each.id = seen.excursion OFFSET 0) AS goods CROSS JOIN LATERAL unnest(goods.inside) AS unit (name)
    WHERE wanted IS NOT NULL AND NOT EXISTS (SELECT FROM ground WHERE ground.id = unit.name AND ground.vehicle)),
  told AS (
    SELECT event.id, event.event_time, regexp_replace(event.biz_step, '^.*[:-]', '') AS step, event.organisation, array_agg(goods.name ORDER BY goods.name) AS units
    FROM goods JOIN event_mention AS mention ON mention.identifier = goods.name AND mention.role IN ('epc', 'child')
    JOIN event ON event.id = mention.event AND NOT event.is_error AND event.type <> 'AssociationEvent'
    WHERE event.biz_step ~ '(^|[:-])(loading|unloading|accepting|receiving|inspecting|arriving)$'
      AND event.event_time > goods.start_time - INTERVAL '1 day' AND (goods.end_time IS NULL OR event.event_time < goods.end_time + INTERVAL '1 day')
      AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = event.organisation AND declared.event_id = event.event_id AND declared.is_error)
    GROUP BY 1, 2, 3, 4)
  SELECT told.event_time, told.step, told.organisation, who.name_zh, who.name_en, told.units,
         said.body ->> 'suyuan:agreedTemperature', said.body ->> 'suyuan:setPoint', said.body ->> 'suyuan:compartmentTemperatureAtLoading',
         CASE WHEN jsonb_typeof(said.body -> 'suyuan:seal') = 'array' THEN said.body -> 'suyuan:seal'
              WHEN said.body ->> 'suyuan:seal' IS NOT NULL THEN jsonb_build_array(said.body -> 'suyuan:seal') END,
         said.body ->> 'suyuan:sealIntact', said.body ->> 'suyuan:remark', pulp.low, pulp.high, pulp.n
  FROM told JOIN event_bytes ON event_bytes.event = told.id JOIN organisation AS who ON who.id = told.organisation
  CROSS JOIN LATERAL (SELECT convert_from(event_bytes.bytes, 'UTF8')::jsonb AS body) AS said
  LEFT JOIN LATERAL (
    SELECT min((report ->> 'minValue')::float8) AS low, max((report ->> 'maxValue')::float8) AS high,
           -- Anybody's own field: what is no count of boxes is none.
           max(CASE WHEN jsonb_typeof(report -> 'suyuan:sampleCount') = 'number' AND (report -> 'suyuan:sampleCount')::numeric BETWEEN 1 AND 1000000
                    THEN floor((report -> 'suyuan:sampleCount')::numeric)::integer END) AS n
    FROM jsonb_path_query(said.body, '$.sensorElementList[*].sensorReport[*]') AS report
    WHERE report ->> 'suyuan:probePosition' = 'pulp' AND jsonb_typeof(report -> 'minValue') = 'number' AND jsonb_typeof(report -> 'maxValue') = 'number') AS pulp ON true
  ORDER BY told.event_time, told.id
$$;

-- What the other sensors around the same goods measured while it lasted.
CREATE FUNCTION official_beside(wanted bigint, at timestamptz)
  RETURNS TABLE (device text, model text, accuracy_c float8, interval_s integer, probe_position text, parent text, parent_zh text, parent_en text,
    n bigint, lowest float8, highest float8)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH around AS MATERIALIZED (
    SELECT excursion.series_id, excursion.start_time, excursion.end_time, range_agg(goods.touched) AS touched, thing.name
    FROM excursions_of_asker(wanted, NULL, NULL) AS seen JOIN excursion ON excursion.id = seen.excursion
    CROSS JOIN LATERAL (SELECT * FROM excursion_goods AS each WHERE each.id = seen.excursion OFFSET 0) AS goods
    CROSS JOIN LATERAL unnest(CASE WHEN goods.in_vehicle OR goods.place IS NULL THEN goods.inside ELSE goods.inside || goods.place END) AS thing (name)
    WHERE wanted IS NOT NULL GROUP BY 1, 2, 3, 5)
  SELECT device.external_id, device.model, device.accuracy_c, device.interval_s, placement.probe_position, placement.parent, place.name_zh, place.name_en,
         count(*), min(store.value), max(store.value)
  FROM around JOIN placement ON placement.parent = around.name AND NOT placement.conflict AND placement.series_id <> around.series_id
  JOIN series ON series.id = placement.series_id AND series.quantity = 'temperature' JOIN device ON device.id = series.device_id
  JOIN reading_store AS store ON store.series_id = series.id AND store.time >= around.start_time AND store.time <= coalesce(around.end_time, at)
    AND placement.valid @> store.time AND around.touched @> store.time
  LEFT JOIN ground AS place ON place.id = placement.parent
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 5
$$;

REVOKE EXECUTE ON FUNCTION lots_of_asker, excursions_of_asker, goods_unobserved, excursion_rows, cold_stays_of_asker, duties_missing, duties_of_devices,
  official_excursions, official_excursion, official_readings, official_versions, official_goods, official_placements, official_calibrations,
  official_hand_overs, official_beside,
  official_windows, official_device_hour, official_choices, official_summary, official_duties FROM PUBLIC;
GRANT EXECUTE ON FUNCTION official_excursions, official_excursion, official_readings, official_versions, official_goods, official_placements,
  official_calibrations, official_hand_overs, official_beside,
  official_windows, official_device_hour, official_choices, official_summary, official_duties TO suyuan_api;
