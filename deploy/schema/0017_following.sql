-- What follows the commit at the line's rate, and how long raw readings are kept.

-- Where the judgement of a series stands (ingest/snapshots.py): made of the readings, and dropped at any time.
CREATE TABLE detection_snapshot (
  series_id   integer PRIMARY KEY REFERENCES series,
  at_ms       bigint NOT NULL,              -- a reading's time, UTC milliseconds: all up to it is in `runs`
  interval_ms bigint NOT NULL,
  runs        jsonb NOT NULL                -- [[limit, version, what is carried on], …] of the limits it was beyond
) WITH (fillfactor = 70);
GRANT SELECT, INSERT, UPDATE, DELETE ON detection_snapshot TO suyuan_jobs;

-- How long raw readings are kept -----------------------------------------------------------------------------------------
-- What is made of them outlives them: roll-ups, excursions, sealed windows, the log.

-- One row. Raw readings and observations before it may be gone. It is raised first and they are dropped after, so that nobody
-- who reads it takes what is left for the whole. A midnight, UTC: that is where chunks end.
CREATE TABLE reading_horizon (
  only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  whole_since timestamptz NOT NULL
);
INSERT INTO reading_horizon (whole_since) VALUES ('1970-01-01T00:00:00Z');

CREATE TABLE retention_run (                -- what was dropped
  before       timestamptz PRIMARY KEY,     -- it all lay before this
  readings     bigint NOT NULL,
  observations bigint NOT NULL,
  at           timestamptz NOT NULL         -- of the last that went
);

-- Stops retention: readings measured since then stay, everybody's, while it stands. Chunks hold all organisations' readings.
CREATE TABLE legal_hold (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reason      text NOT NULL CHECK (reason <> ''),
  since       timestamptz NOT NULL,
  placed_at   timestamptz NOT NULL DEFAULT now(),
  released_at timestamptz
);

GRANT SELECT ON reading_horizon, retention_run, legal_hold TO suyuan_jobs;
GRANT SELECT ON reading_horizon TO suyuan_ingest;

-- Nobody else may take a reading away, and these only what lies before the horizon and under no hold.
CREATE FUNCTION droppable_before() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT least(whole_since, (SELECT min(since) FROM legal_hold WHERE released_at IS NULL)) FROM reading_horizon
$$;

CREATE FUNCTION raise_reading_horizon(wanted timestamptz) RETURNS timestamptz
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  held timestamptz := (SELECT min(since) FROM legal_hold WHERE released_at IS NULL);
BEGIN
  IF wanted > now() - INTERVAL '1 day' THEN
    RAISE EXCEPTION 'raw readings are kept for a day at least, got %', wanted;
  END IF;
  -- What TimescaleDB rolls up by itself must be rolled up before its readings go.
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    IF EXISTS (SELECT FROM timescaledb_information.jobs AS job LEFT JOIN timescaledb_information.job_stats AS told USING (job_id)
               WHERE job.proc_name = 'policy_refresh_continuous_aggregate' AND (NOT job.scheduled OR told.last_run_status = 'Failed')) THEN
      RETURN (SELECT whole_since FROM reading_horizon);
    END IF;
  END IF;
  UPDATE reading_horizon SET whole_since = greatest(whole_since, date_trunc('day', least(wanted, held), 'UTC'));
  RETURN (SELECT whole_since FROM reading_horizon);
END $$;

-- A batch: one chunk where the readings are a hypertable, else so many rows; and so many observations.
CREATE FUNCTION drop_old_readings(most integer) RETURNS TABLE (readings bigint, observations bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  bound  timestamptz := droppable_before();
  chunk  record;
  rows_gone bigint := 0;
  seen_gone bigint := 0;
BEGIN
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    SELECT chunks.chunk_schema AS space, chunks.chunk_name AS name, chunks.range_end AS ends INTO chunk
    FROM timescaledb_information.chunks
    WHERE hypertable_schema = 'public' AND hypertable_name = 'reading_store' AND range_end <= bound ORDER BY range_end LIMIT 1;
    IF FOUND THEN
      EXECUTE format('SELECT count(*) FROM %I.%I', chunk.space, chunk.name) INTO rows_gone;
      PERFORM drop_chunks('public.reading_store', older_than => chunk.ends);
    END IF;
  ELSE
    DELETE FROM reading_store WHERE ctid = ANY (ARRAY(
      SELECT old.place FROM series, LATERAL (
        SELECT ctid AS place FROM reading_store AS store WHERE store.series_id = series.id AND time < bound LIMIT most) AS old
      LIMIT most));
    GET DIAGNOSTICS rows_gone = ROW_COUNT;
  END IF;
  DELETE FROM observation WHERE ctid = ANY (ARRAY(
    SELECT old.place FROM series, LATERAL (
      SELECT ctid AS place FROM observation AS seen WHERE seen.series_id = series.id AND time < bound LIMIT most) AS old
    LIMIT most));
  GET DIAGNOSTICS seen_gone = ROW_COUNT;
  IF rows_gone > 0 OR seen_gone > 0 THEN
    INSERT INTO retention_run AS run VALUES (bound, rows_gone, seen_gone, now())
    ON CONFLICT ON CONSTRAINT retention_run_pkey DO UPDATE
    SET readings = run.readings + EXCLUDED.readings, observations = run.observations + EXCLUDED.observations, at = EXCLUDED.at;
  END IF;
  RETURN QUERY SELECT rows_gone, seen_gone;
END $$;
REVOKE EXECUTE ON FUNCTION droppable_before, raise_reading_horizon, drop_old_readings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION raise_reading_horizon, drop_old_readings TO suyuan_jobs;
