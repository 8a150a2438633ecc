-- Which migrations stand, for services that must refuse a schema older or newer than theirs and own no table of yoyo's.
CREATE VIEW schema_applied AS SELECT migration_id AS name FROM _yoyo_migration;
GRANT SELECT ON schema_applied TO suyuan_ingest, suyuan_jobs, suyuan_sequencer, suyuan_api, suyuan_public;
