-- Verdicts are sealed like events, a sealed reading can be named when it is no longer what was sealed, and a window is looked at
-- before its readings go.

-- Verdicts -----------------------------------------------------------------------------------------------------------------

-- One version of an excursion's judgement, field by field, as the log commits to it. The salts come from the organisation's key.
CREATE TABLE sealed_verdict (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation text NOT NULL REFERENCES organisation,
  excursion    bigint NOT NULL REFERENCES excursion,
  version      integer NOT NULL,            -- the excursion's; not every version is sealed (ingest/verdicts.py)
  fields       bytea NOT NULL,              -- RFC 8785: the judgement, the whole rule as it stood in it
  root         bytea NOT NULL CHECK (length(root) = 32),
  sealed_at    timestamptz NOT NULL,
  UNIQUE (excursion, version)
);
ALTER TABLE sealed_verdict ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON sealed_verdict TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
CREATE POLICY work ON sealed_verdict TO suyuan_ingest, suyuan_jobs, suyuan_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON sealed_verdict TO suyuan_jobs;
GRANT SELECT ON sealed_verdict TO suyuan_sequencer, suyuan_api;

-- Versions that detection wrote and that may have to be sealed. Inserted with the version; what waits is put off, else it goes.
CREATE TABLE open_verdict (
  excursion bigint      NOT NULL REFERENCES excursion,
  version   integer     NOT NULL,
  due_at    timestamptz NOT NULL,           -- not to be looked at before
  PRIMARY KEY (excursion, version)
);
CREATE INDEX open_verdict_due ON open_verdict (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON open_verdict TO suyuan_jobs;
INSERT INTO open_verdict SELECT id, version, computed_at FROM excursion;

ALTER TABLE pending ADD COLUMN sealed_verdict bigint REFERENCES sealed_verdict;
ALTER TABLE leaf ADD COLUMN sealed_verdict bigint REFERENCES sealed_verdict;
CREATE UNIQUE INDEX leaf_sealed_verdict ON leaf (sealed_verdict) WHERE sealed_verdict IS NOT NULL;

-- Windows ------------------------------------------------------------------------------------------------------------------

-- Which leaf differs, where the root says that one does (ingest/auditing.py). Null: sealed before this migration.
ALTER TABLE sealed_window ADD COLUMN leaf_prefixes bytea CHECK (length(leaf_prefixes) = 4 * readings);
CREATE INDEX sealed_window_start ON sealed_window (start_time, device_id);

-- Device-hours that were held against what was sealed of them: before their readings are dropped or compressed, or because they
-- failed. One whose fault stands is not amended and its readings stay.
CREATE TABLE window_check (
  device_id  integer     NOT NULL REFERENCES device,
  start_time timestamptz NOT NULL,
  version    integer     NOT NULL,          -- the newest when it was looked at; 0: none
  checked_at timestamptz NOT NULL,
  fault      text,                          -- null: it held
  PRIMARY KEY (device_id, start_time)
);
CREATE INDEX window_check_fault ON window_check (start_time) WHERE fault IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON window_check TO suyuan_jobs;

-- Retention ----------------------------------------------------------------------------------------------------------------
-- A window is looked at before its readings are dropped, and before they are compressed; one with a fault stays for people.

-- From then on that was so: what was dropped before was not looked at.
ALTER TABLE reading_horizon ADD COLUMN checked_since timestamptz;
UPDATE reading_horizon SET checked_since = whole_since;
ALTER TABLE reading_horizon ALTER COLUMN checked_since SET NOT NULL;

CREATE OR REPLACE FUNCTION raise_reading_horizon(wanted timestamptz) RETURNS timestamptz
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  held   timestamptz := readings_held_since();   -- 0026: a person's hold keeps no reading
  before timestamptz := (SELECT whole_since FROM reading_horizon);
  raised timestamptz := greatest(before, date_trunc('day', least(wanted, held), 'UTC'));
BEGIN
  IF wanted > now() - INTERVAL '1 day' THEN
    RAISE EXCEPTION 'raw readings are kept for a day at least, got %', wanted;
  END IF;
  IF EXISTS (SELECT FROM sealed_window AS sealed WHERE start_time >= before AND start_time < raised AND NOT EXISTS (
               SELECT FROM window_check AS known WHERE (known.device_id, known.start_time) = (sealed.device_id, sealed.start_time))) THEN
    RAISE EXCEPTION 'sealed windows before % were not held against their readings yet', raised;
  END IF;
  -- What TimescaleDB rolls up by itself must be rolled up before its readings go.
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    IF EXISTS (SELECT FROM timescaledb_information.jobs AS job LEFT JOIN timescaledb_information.job_stats AS told USING (job_id)
               WHERE job.proc_name = 'policy_refresh_continuous_aggregate' AND (NOT job.scheduled OR told.last_run_status = 'Failed')) THEN
      RETURN before;
    END IF;
  END IF;
  UPDATE reading_horizon SET whole_since = raised;
  RETURN raised;
END $$;

-- As before, but for the hours that have a fault: the rows of such a device-hour stay, and the chunk that it lies in.
CREATE OR REPLACE FUNCTION drop_old_readings(most integer) RETURNS TABLE (readings bigint, observations bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  bound  timestamptz := droppable_before();
  chunk  record;
  rows_gone bigint := 0;
  seen_gone bigint := 0;
BEGIN
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    SELECT chunks.chunk_schema AS space, chunks.chunk_name AS name, chunks.range_start AS begins, chunks.range_end AS ends INTO chunk
    FROM timescaledb_information.chunks
    WHERE hypertable_schema = 'public' AND hypertable_name = 'reading_store' AND range_end <= bound
      AND NOT EXISTS (SELECT FROM window_check WHERE fault IS NOT NULL AND start_time >= range_start AND start_time < range_end)
    ORDER BY range_end LIMIT 1;
    IF FOUND THEN
      EXECUTE format('SELECT count(*) FROM %I.%I', chunk.space, chunk.name) INTO rows_gone;
      PERFORM drop_chunks('public.reading_store', older_than => chunk.ends, newer_than => chunk.begins);
    END IF;
  ELSE
    DELETE FROM reading_store WHERE ctid = ANY (ARRAY(
      SELECT old.place FROM series, LATERAL (
        SELECT ctid AS place FROM reading_store AS store WHERE store.series_id = series.id AND time < bound
          AND NOT EXISTS (SELECT FROM window_check WHERE fault IS NOT NULL AND device_id = series.device_id
                          AND start_time = date_trunc('hour', store.time, 'UTC')) LIMIT most) AS old
      LIMIT most));
    GET DIAGNOSTICS rows_gone = ROW_COUNT;
  END IF;
  DELETE FROM observation WHERE ctid = ANY (ARRAY(
    SELECT old.place FROM series, LATERAL (
      SELECT ctid AS place FROM observation AS seen WHERE seen.series_id = series.id AND time < bound
        AND NOT EXISTS (SELECT FROM window_check WHERE fault IS NOT NULL AND device_id = series.device_id
                        AND start_time = date_trunc('hour', seen.time, 'UTC')) LIMIT most) AS old
    LIMIT most));
  GET DIAGNOSTICS seen_gone = ROW_COUNT;
  IF rows_gone > 0 OR seen_gone > 0 THEN
    INSERT INTO retention_run AS run VALUES (bound, rows_gone, seen_gone, now())
    ON CONFLICT ON CONSTRAINT retention_run_pkey DO UPDATE
    SET readings = run.readings + EXCLUDED.readings, observations = run.observations + EXCLUDED.observations, at = EXCLUDED.at;
  END IF;
  RETURN QUERY SELECT rows_gone, seen_gone;
END $$;

-- The community edition's policy would compress what nobody has looked at: our job calls these instead, a chunk at a time.
DO $community$
BEGIN
  IF current_setting('timescaledb.license', true) = 'timescale' AND EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    CALL remove_columnstore_policy('reading_store', if_exists => true);
  END IF;
END
$community$;

-- The oldest chunk that ends before `older` and lies in rows, whole or in part. What came late for one in columns lies beside them in
-- rows until nothing came for twelve hours. No row on the other editions.
CREATE FUNCTION readings_in_rows(older timestamptz) RETURNS TABLE (begins timestamptz, ends timestamptz)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale'
     OR NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT chunks.range_start, chunks.range_end
  FROM timescaledb_information.chunks
  JOIN _timescaledb_catalog.chunk AS kept ON (kept.schema_name, kept.table_name) = (chunks.chunk_schema, chunks.chunk_name)
  WHERE hypertable_schema = 'public' AND hypertable_name = 'reading_store' AND range_end <= least(older, now() - INTERVAL '1 day')
    AND range_start >= (SELECT whole_since FROM reading_horizon)  -- else it goes soon
    AND (NOT chunks.is_compressed OR (kept.status & 10 <> 0 AND NOT EXISTS (  -- 2: unordered, 8: partial
           SELECT FROM sealed_window WHERE start_time >= range_start AND start_time < range_end AND sealed_at > now() - INTERVAL '12 hours')))
    AND NOT EXISTS (SELECT FROM window_check WHERE fault IS NOT NULL AND start_time >= range_start AND start_time < range_end)
  ORDER BY range_end LIMIT 1;
END $$;

-- That one, if it begins at `wanted`; false if it is another by now, or if a window of it was not looked at.
CREATE FUNCTION compress_readings(wanted timestamptz, older timestamptz) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  one record;
BEGIN
  SELECT * INTO one FROM readings_in_rows(older) WHERE begins = wanted;
  IF NOT FOUND OR EXISTS (SELECT FROM sealed_window AS sealed WHERE start_time >= one.begins AND start_time < one.ends AND NOT EXISTS (
       SELECT FROM window_check AS known WHERE (known.device_id, known.start_time) = (sealed.device_id, sealed.start_time))) THEN
    RETURN false;
  END IF;
  PERFORM compress_chunk(chunk, true) FROM show_chunks('public.reading_store', older_than => one.ends, newer_than => one.begins) AS chunk;
  RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION readings_in_rows, compress_readings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION readings_in_rows, compress_readings TO suyuan_jobs;
