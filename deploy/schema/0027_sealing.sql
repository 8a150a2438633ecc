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
