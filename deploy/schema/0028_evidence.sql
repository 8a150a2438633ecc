-- What an evidence file says of the root log: its checkpoints as they were signed, and who cosigned them (docs/evidence-v2.md). All
-- of it is public anyway, under /log/root and in every evidence file; these views give no more of the tables than that.
CREATE VIEW root_checkpoint WITH (security_barrier) AS
  SELECT tree_size, note FROM checkpoint WHERE organisation = 'root';
CREATE VIEW root_cosignature WITH (security_barrier) AS
  SELECT tree_size, name, key_id, time, line FROM cosignature WHERE organisation = 'root';
GRANT SELECT ON root_checkpoint, root_cosignature TO suyuan_public, suyuan_api, suyuan_jobs;
