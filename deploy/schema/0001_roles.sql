-- The services' roles. They own no table and no function; the owner who migrates is never in a service's environment.
-- Roles belong to the whole cluster, so a second database finds them already there.
DO $roles$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['suyuan_ingest', 'suyuan_jobs', 'suyuan_sequencer', 'suyuan_api', 'suyuan_public'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT', role);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
  -- Estimates over JSON and hypertables are far too high, so that PostgreSQL would compile for most of a second what then
  -- runs in a few milliseconds.
  FOREACH role IN ARRAY ARRAY['suyuan_ingest', 'suyuan_jobs', 'suyuan_sequencer', 'suyuan_api', 'suyuan_public'] LOOP
    EXECUTE format('ALTER ROLE %I SET jit = off', role);
  END LOOP;
  FOREACH role IN ARRAY ARRAY['suyuan_ingest', 'suyuan_jobs', 'suyuan_sequencer'] LOOP
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role, '60s');
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role, '60s');
  END LOOP;
  FOREACH role IN ARRAY ARRAY['suyuan_api', 'suyuan_public'] LOOP
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role, '10s');
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role, '10s');
  END LOOP;
END
$roles$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO suyuan_ingest, suyuan_jobs, suyuan_sequencer, suyuan_api, suyuan_public;

-- TimescaleDB where the server has it: a probe, not an assumption.
DO $edition$
BEGIN
  IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
     AND current_setting('shared_preload_libraries') LIKE '%timescaledb%' THEN
    CREATE EXTENSION IF NOT EXISTS timescaledb;
  END IF;
END
$edition$;
