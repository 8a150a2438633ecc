-- What a restore lost for good. `suyuan recover` brings leaves back from the logs' own bundles; a bundle holds what was
-- committed to, not what was said, so an entry's payload is only there if it was recorded before the backup.
CREATE TABLE payload_lost (
  organisation text   NOT NULL REFERENCES log,
  leaf_index   bigint NOT NULL,
  noted_at     timestamptz NOT NULL,
  PRIMARY KEY (organisation, leaf_index),
  FOREIGN KEY (organisation, leaf_index) REFERENCES leaf
);
GRANT SELECT ON payload_lost TO suyuan_ingest, suyuan_jobs, suyuan_sequencer, suyuan_api;
