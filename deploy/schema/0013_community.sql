-- What TimescaleDB's community licence adds: columns instead of rows for readings a week old, and a roll-up that the database
-- keeps. Plain PostgreSQL and the Apache edition have none of it; there only the view at the end is made.
-- Everything here runs inside a migration's transaction: the aggregate is made empty, and its policy fills it.
DO $community$
DECLARE
  version text := (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb');
  hour_without_readings timestamptz;
BEGIN
  IF version IS NULL OR current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale' THEN
    RETURN;
  END IF;

  -- Before 2.18.1 an INSERT ... ON CONFLICT into a compressed chunk stopped in silence at the first row that stood already
  -- (timescaledb #7672): readings sent late would be lost and counted as stored.
  IF string_to_array(split_part(version, '-', 1), '.')::int[] < ARRAY[2, 18, 1] THEN
    RAISE EXCEPTION 'TimescaleDB % can lose late readings; update the extension to 2.18.1 or newer, or set timescaledb.license = ''apache''', version;
  END IF;

  -- The aggregate is computed from the readings that are there: what the table alone still knows would be forgotten.
  SELECT kept.hour INTO hour_without_readings FROM reading_1h AS kept
  WHERE NOT EXISTS (SELECT FROM reading_store AS store WHERE store.series_id = kept.series_id
                    AND store.time >= kept.hour AND store.time < kept.hour + INTERVAL '1 hour')
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'reading_1h knows hours whose readings are gone (the first found: %); export them before this migration', hour_without_readings;
  END IF;
  DROP TABLE reading_1h;

  -- The columns of the table that our own job keeps elsewhere (ingest/rollups.py). In order of time, or a sum of floats would
  -- depend on how the rows lie. Hours not yet materialised are computed on reading, so the newest are never missing.
  CREATE MATERIALIZED VIEW reading_1h WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT series_id, time_bucket(INTERVAL '1 hour', time) AS hour, count(*)::integer AS n, sum(value ORDER BY time) AS total,
           min(value) AS minimum, max(value) AS maximum, min(time) AS first_at, max(time) AS last_at
    FROM reading_store
    GROUP BY series_id, time_bucket(INTERVAL '1 hour', time)
    WITH NO DATA;
  GRANT SELECT ON reading_1h TO suyuan_jobs;

  -- Readings come late, up to SUYUAN_RETENTION_DAYS, so the refresh looks back that far and a day; `suyuan migrate` keeps it at
  -- the setting (deploy/migrate.py). Never without a bound: a refresh over readings that were dropped takes their hours along,
  -- and reading_1h is to outlive them.
  PERFORM add_continuous_aggregate_policy('reading_1h', start_offset => INTERVAL '1097 days', end_offset => INTERVAL '1 hour',
    schedule_interval => INTERVAL '5 minutes');

  -- A week: what comes late mostly comes sooner, and a late row in a compressed chunk costs a look into its columns. Segments
  -- by series, since every question names its series; in the order of time, since none wants it backwards.
  ALTER TABLE reading_store SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'time');
  CALL add_columnstore_policy('reading_store', after => INTERVAL '7 days');
  -- Past its limit an INSERT fails with 53400, which says "later" of a batch that would fail for ever.
  ALTER ROLE suyuan_ingest SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0;

  -- No policy drops readings: a policy knows no legal hold.
END
$community$;

-- Intervals that reading_1h may not tell of yet: where our job keeps it, what its marks say; where the database does, what came
-- in since the policy has surely run.
DO $waiting$
BEGIN
  IF (SELECT relkind FROM pg_class WHERE oid = 'reading_1h'::regclass) = 'v' THEN
    CREATE VIEW rollup_waiting AS
      SELECT store.series_id, min(store.time) AS first, max(store.time) AS last
      FROM reading_store AS store JOIN batch ON batch.id = store.batch_id
      WHERE batch.received_at > now() - INTERVAL '15 minutes'
      GROUP BY store.series_id;
  ELSE
    CREATE VIEW rollup_waiting AS
      SELECT touched.series_id, touched.first, touched.last
      FROM mark, unnest(series_ids, from_times, to_times) AS touched (series_id, first, last)
      WHERE consumer = 'rollup';
  END IF;
END
$waiting$;
GRANT SELECT ON rollup_waiting TO suyuan_jobs;
