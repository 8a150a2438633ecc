-- A device whose numbers are full of holes makes its row longer with each of them, and every batch that writes the row pays
-- for its length, the neighbours with it. So there is an end (ingest/closing.py): below `known_from` nobody knows any more
-- which numbers came. There `stored` has those up to the first gap, taken or refused; `refused` and `let_go` have none.
ALTER TABLE device_sequence ADD COLUMN known_from bigint NOT NULL DEFAULT 0;

-- When the range fell below `known_from`: nobody waits for it any longer, and whether it came later is not known.
ALTER TABLE sequence_gap ADD COLUMN given_up_at timestamptz;
DROP INDEX sequence_gap_open;
CREATE INDEX sequence_gap_open ON sequence_gap (device_id, boot) WHERE filled_at IS NULL AND given_up_at IS NULL;
