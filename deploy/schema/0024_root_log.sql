-- The root log: a log like any other, but of no organisation. Its entries are checkpoints of the others (docs/decisions/0029).
ALTER TABLE organisation ADD CONSTRAINT organisation_is_not_the_root CHECK (id <> 'root');

-- The root is no organisation. What these keys held is an invariant now (docs/invariants.md).
ALTER TABLE log DROP CONSTRAINT log_organisation_fkey;
ALTER TABLE pending DROP CONSTRAINT pending_organisation_fkey;

ALTER TABLE pending DROP CONSTRAINT pending_stream_kind_check;
ALTER TABLE pending ADD CONSTRAINT pending_stream_kind_check CHECK (stream_kind IN ('device', 'party', 'log'));

-- Nothing is added to a frozen log. Set in the transaction that makes its last leaf, or when its head store says so.
ALTER TABLE log ADD COLUMN frozen_at timestamptz;
ALTER TABLE log ADD COLUMN frozen_reason text CHECK (length(frozen_reason) BETWEEN 1 AND 200);
ALTER TABLE log ADD CONSTRAINT log_is_frozen_with_a_reason CHECK ((frozen_at IS NULL) = (frozen_reason IS NULL));

CREATE FUNCTION refuse_thawing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the log % is frozen: %', OLD.organisation, OLD.frozen_reason USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;
CREATE TRIGGER frozen_stays_frozen BEFORE UPDATE ON log FOR EACH ROW
  WHEN (OLD.frozen_at IS NOT NULL
        AND (NEW.frozen_at, NEW.frozen_reason, NEW.tree_size, NEW.origin) IS DISTINCT FROM (OLD.frozen_at, OLD.frozen_reason, OLD.tree_size, OLD.origin))
  EXECUTE FUNCTION refuse_thawing();

-- A checkpoint is wanted in the root log now and not at the next minute. The sequencer takes the row away with what it anchors.
CREATE TABLE anchor_request (
  organisation text PRIMARY KEY REFERENCES organisation,
  asked_at     timestamptz NOT NULL
);

-- Which leaf of the root log holds which checkpoint: made of those leaves, and nothing that they do not say.
CREATE TABLE anchor (
  leaf_index   bigint PRIMARY KEY,          -- in the root log
  organisation text   NOT NULL REFERENCES log,
  tree_size    bigint NOT NULL,
  record_time  timestamptz NOT NULL
);
CREATE INDEX anchor_organisation ON anchor (organisation, leaf_index);

-- Who else signed which checkpoint, beside the log itself. A row per signature that says something new.
CREATE TABLE cosignature (
  organisation text   NOT NULL REFERENCES log,
  tree_size    bigint NOT NULL,
  name         text   NOT NULL,             -- the key's
  key_id       bytea  NOT NULL CHECK (length(key_id) = 4),
  time         timestamptz NOT NULL,        -- what the signature says, in whole seconds
  line         text   NOT NULL,             -- as it stands under the note, without its newline
  PRIMARY KEY (organisation, tree_size, name, key_id, time)
);

-- What a log says of itself and of others, the sequencer alone says: who may record may neither change a key nor end a log.
DROP POLICY work ON pending;
DROP POLICY own ON pending;
CREATE POLICY own ON pending TO suyuan_api USING (organisation = current_organisation())
  WITH CHECK (organisation = current_organisation() AND type NOT IN ('key', 'freeze'));
CREATE POLICY work ON pending TO suyuan_ingest, suyuan_jobs USING (true) WITH CHECK (type NOT IN ('key', 'freeze'));
CREATE POLICY sequence ON pending TO suyuan_sequencer USING (true)
  WITH CHECK (organisation = 'root' OR type IN ('key', 'freeze'));
GRANT INSERT ON pending TO suyuan_sequencer;

-- Anybody may ask, for any log: what comes of it is public.
GRANT INSERT ON anchor_request TO suyuan_ingest, suyuan_jobs, suyuan_api;
GRANT SELECT, INSERT, DELETE ON anchor_request TO suyuan_sequencer;
GRANT SELECT, INSERT ON anchor, cosignature TO suyuan_sequencer;
GRANT SELECT ON anchor, cosignature, log, checkpoint TO suyuan_jobs, suyuan_api;

CREATE VIEW published_anchor WITH (security_barrier) AS
  SELECT anchor.organisation, anchor.tree_size, anchor.leaf_index, anchor.record_time
  FROM anchor JOIN organisation ON organisation.id = anchor.organisation AND organisation.publishes;
GRANT SELECT ON published_anchor TO suyuan_public, suyuan_api;

-- A shopper may ask for what is published. One row a log, so that asking often costs nothing more.
CREATE FUNCTION published_anchor_request(wanted text) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO anchor_request (organisation, asked_at)
  SELECT id, now() FROM organisation WHERE id = wanted AND publishes
  ON CONFLICT DO NOTHING
$$;
REVOKE EXECUTE ON FUNCTION published_anchor_request FROM PUBLIC;
GRANT EXECUTE ON FUNCTION published_anchor_request TO suyuan_public, suyuan_api;
