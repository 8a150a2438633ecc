-- Capture by jobs, and events known again by their meaning.

-- The `@context` of the document that events came in: what the prefixes in them stand for. RFC 8785, by its SHA-256.
CREATE TABLE event_context (
  organisation text  NOT NULL REFERENCES organisation,
  digest       bytea NOT NULL CHECK (length(digest) = 32),
  body         text  NOT NULL,
  PRIMARY KEY (organisation, digest)
);

-- The SHA-256 of the CBV 2.0 event hash, by which another spelling of the same event is known again; null for what was
-- recorded before there was this column. `context` null: it came alone.
ALTER TABLE event ADD COLUMN event_hash bytea CHECK (length(event_hash) = 32), ADD COLUMN context bytea,
  ADD FOREIGN KEY (organisation, context) REFERENCES event_context;
CREATE INDEX event_by_hash ON event (organisation, event_hash) WHERE event_hash IS NOT NULL;

-- What has been done of a job. `outcomes`: a letter for each event in document order, as far as it is worked off: r recorded,
-- d duplicate, c conflict, i invalid, n not recorded because of another. `named`: place -> event_id of those that the document
-- gives none.
ALTER TABLE capture_job
  ADD COLUMN started_at timestamptz,
  ADD COLUMN event_pointer text NOT NULL DEFAULT '/epcisBody/eventList/{}',   -- in the document, {} for the event's place
  ADD COLUMN outcomes   text NOT NULL DEFAULT '' CHECK (outcomes ~ '^[rdcin]*$' AND length(outcomes) <= events),
  ADD COLUMN named      jsonb NOT NULL DEFAULT '{}';
UPDATE capture_job SET started_at = created_at;
CREATE INDEX capture_job_listed ON capture_job (organisation, created_at, id);
CREATE INDEX capture_job_finished ON capture_job (finished_at) WHERE finished_at IS NOT NULL;

-- Documents that wait for their job, encrypted under a key outside the database; gone with the transaction that ends the job.
-- Backups leave the rows out. Whoever holds a row's lock works on it; `due`: after whoever died holding it.
CREATE TABLE capture_document (
  job          uuid PRIMARY KEY REFERENCES capture_job,
  number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  organisation text NOT NULL REFERENCES organisation,
  body         bytea NOT NULL,
  attempts     integer NOT NULL DEFAULT 0,
  due          timestamptz NOT NULL
);
ALTER TABLE capture_document ALTER COLUMN body SET STORAGE EXTERNAL;   -- what is encrypted does not compress
CREATE INDEX capture_document_organisation ON capture_document (organisation);

ALTER TABLE event_context ENABLE ROW LEVEL SECURITY;
ALTER TABLE capture_document ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON event_context TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
CREATE POLICY work ON event_context TO suyuan_ingest, suyuan_jobs, suyuan_sequencer USING (true) WITH CHECK (true);
CREATE POLICY erase ON event_context TO suyuan_eraser USING (true) WITH CHECK (true);
CREATE POLICY own ON capture_document TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
GRANT SELECT, INSERT ON event_context TO suyuan_api, suyuan_ingest;
GRANT SELECT ON event_context TO suyuan_jobs, suyuan_eraser;
GRANT SELECT, INSERT, UPDATE, DELETE ON capture_document TO suyuan_api;
-- It is a hash of all that the event says, by which a guess of what was erased of it could be tried.
GRANT UPDATE (event_hash) ON event TO suyuan_eraser;

-- The next document for `lease`: the API works for one organisation at a time, and must be told for which. The oldest of
-- whichever organisation the moment puts first, so that none waits for all that another has sent.
CREATE FUNCTION take_capture_document(at timestamptz, lease interval) RETURNS TABLE (job uuid, organisation text, attempts integer)
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE capture_document SET attempts = capture_document.attempts + 1, due = at + lease
  WHERE number = (SELECT waiting.number FROM capture_document AS waiting WHERE waiting.due <= at
                  ORDER BY hashtextextended(waiting.organisation, (extract(epoch FROM at) * 1000)::bigint), waiting.number
                  LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
  RETURNING capture_document.job, capture_document.organisation, capture_document.attempts
$$;
-- Jobs that were begun and have no document: a backup does not hold it.
CREATE FUNCTION capture_jobs_without_document() RETURNS TABLE (job uuid, organisation text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT capture_job.id, capture_job.organisation FROM capture_job
  WHERE finished_at IS NULL AND NOT EXISTS (SELECT FROM capture_document WHERE capture_document.job = capture_job.id)
  ORDER BY created_at LIMIT 1000
$$;
-- What was said of a job is kept as long as somebody may ask.
CREATE FUNCTION forget_capture_jobs(before timestamptz) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH gone AS (
    DELETE FROM capture_job WHERE id IN (SELECT id FROM capture_job WHERE finished_at < before ORDER BY finished_at LIMIT 1000)
    RETURNING 1)
  SELECT count(*) FROM gone
$$;
REVOKE EXECUTE ON FUNCTION take_capture_document, capture_jobs_without_document, forget_capture_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_capture_document, capture_jobs_without_document, forget_capture_jobs TO suyuan_api;
