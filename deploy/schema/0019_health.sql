-- The clocks of devices, and what is wrong with devices.

-- What a message says of its device's clock: ours at receipt and the device's at sending. The smallest difference of a while.
CREATE TABLE clock_sample (
  device_id   integer     NOT NULL REFERENCES device,
  received_at timestamptz NOT NULL,
  sent_at     timestamptz NOT NULL,
  fitted      boolean     NOT NULL DEFAULT false,   -- whether the device's clock below knows of it
  PRIMARY KEY (device_id, received_at, sent_at)
);
CREATE INDEX clock_sample_unfitted ON clock_sample (device_id) WHERE NOT fitted;
GRANT INSERT ON clock_sample TO suyuan_ingest;
GRANT SELECT, DELETE, UPDATE (fitted) ON clock_sample TO suyuan_jobs;

-- A device's clock, piece by piece, made from the samples. True time = the device's + offset_ms + drift_ppm of what the device
-- counted since `anchor`. A clock that was set back shows times twice: then two pieces are valid, and receipt tells them apart.
CREATE TABLE device_clock (
  device_id    integer     NOT NULL REFERENCES device,
  organisation text        NOT NULL,
  valid        tstzrange   NOT NULL CHECK (NOT isempty(valid)),   -- in the device's time
  anchor       timestamptz NOT NULL,                              -- in the device's time
  offset_ms    float8      NOT NULL,
  drift_ppm    float8      NOT NULL CHECK (abs(drift_ppm) <= 100),
  seen         tstzrange   NOT NULL CHECK (NOT isempty(seen)),    -- in ours: how long the clock ran so
  first_at     timestamptz NOT NULL,                              -- of the samples it rests on, in ours
  last_at      timestamptz NOT NULL,
  samples      integer     NOT NULL CHECK (samples > 0),
  fitted_at    timestamptz NOT NULL,
  PRIMARY KEY (device_id, first_at)
);
CREATE INDEX device_clock_fitted ON device_clock (fitted_at);
ALTER TABLE device_clock ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON device_clock TO suyuan_api USING (organisation = current_organisation());
CREATE POLICY work ON device_clock TO suyuan_ingest, suyuan_jobs USING (true) WITH CHECK (true);
GRANT SELECT ON device_clock TO suyuan_ingest, suyuan_api;
GRANT SELECT, INSERT, DELETE ON device_clock TO suyuan_jobs;

CREATE FUNCTION corrected_time(measured timestamptz, anchor timestamptz, offset_ms float8, drift_ppm float8) RETURNS timestamptz
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT measured + (offset_ms + drift_ppm * 1e-3 * greatest(extract(epoch FROM measured - anchor), 0)) * INTERVAL '1 millisecond' $$;

-- Readings with the time as it was by our clock; null where nothing is known of the device's. `clock_certain`: one piece alone is valid
-- there; of several, one under which the reading is not later than its receipt, and that ran when it was received.
CREATE VIEW reading_corrected WITH (security_barrier) AS
  SELECT series.id AS series_id, series.device_id, series.channel, series.quantity, series.unit, store.time, store.value, store.flags,
         clock.corrected_at, coalesce(clock.pieces = 1, false) AS clock_certain
  FROM series JOIN reading_store AS store ON store.series_id = series.id
  LEFT JOIN LATERAL (
    SELECT each.corrected_at, count(*) OVER () AS pieces
    FROM (SELECT corrected_time(store.time, piece.anchor, piece.offset_ms, piece.drift_ppm) AS corrected_at, piece.seen, batch.received_at
          FROM device_clock AS piece LEFT JOIN batch ON batch.id = store.batch_id
          WHERE piece.device_id = series.device_id AND piece.valid @> store.time) AS each
    ORDER BY each.corrected_at > each.received_at + INTERVAL '5 minutes', NOT each.seen @> each.received_at, lower(each.seen) DESC NULLS LAST
    LIMIT 1) AS clock ON true
  WHERE series.organisation = current_organisation();
GRANT SELECT ON reading_corrected TO suyuan_api;

-- What is wrong with a device, or was. Made from readings and clocks.
CREATE TABLE device_finding (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation text        NOT NULL,
  device_id    integer     NOT NULL REFERENCES device,
  series_id    integer     REFERENCES series,       -- null: of the whole device
  kind         text        NOT NULL CHECK (kind IN ('silent', 'stuck', 'jumping', 'drifting', 'low_battery', 'clock_skew')),
  since        timestamptz NOT NULL,
  until        timestamptz CHECK (until >= since),  -- null: it is so
  evidence     jsonb       NOT NULL,
  looked_at    timestamptz NOT NULL
);
CREATE UNIQUE INDEX device_finding_open ON device_finding (device_id, kind, series_id) NULLS NOT DISTINCT WHERE until IS NULL;
CREATE INDEX device_finding_organisation ON device_finding (organisation);
ALTER TABLE device_finding ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON device_finding TO suyuan_api USING (organisation = current_organisation());
CREATE POLICY work ON device_finding TO suyuan_jobs USING (true) WITH CHECK (true);
GRANT SELECT ON device_finding TO suyuan_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON device_finding TO suyuan_jobs;

-- When a device was last looked at, and what was last heard of it.
CREATE TABLE device_look (
  device_id integer     PRIMARY KEY REFERENCES device,
  looked_at timestamptz NOT NULL,
  last_time timestamptz,                    -- its newest reading, by its own clock
  heard_at  timestamptz                     -- when that was received
);
CREATE INDEX device_look_looked ON device_look (looked_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON device_look TO suyuan_jobs;
