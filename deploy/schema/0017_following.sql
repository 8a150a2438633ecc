-- What follows the commit at the line's rate, and how long raw readings are kept.

-- Where the judgement of a series stands (ingest/snapshots.py): made of the readings, and dropped at any time.
CREATE TABLE detection_snapshot (
  series_id   integer PRIMARY KEY REFERENCES series,
  at_ms       bigint NOT NULL,              -- a reading's time, UTC milliseconds: all up to it is in `runs`
  interval_ms bigint NOT NULL,
  runs        jsonb NOT NULL                -- [[limit, version, what is carried on], …] of the limits it was beyond
) WITH (fillfactor = 70);
GRANT SELECT, INSERT, UPDATE, DELETE ON detection_snapshot TO suyuan_jobs;
