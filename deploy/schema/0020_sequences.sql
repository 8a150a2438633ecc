-- A message that never came: a range of a device's numbers that lies below its highest one and was not held for some seconds.
-- A range that comes in part is cut: what came is a row of its own with the moment it came, the rest goes on.
CREATE TABLE sequence_gap (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_id  integer     NOT NULL REFERENCES device,
  boot       bigint      NOT NULL,
  first_seq  bigint      NOT NULL,
  last_seq   bigint      NOT NULL CHECK (last_seq >= first_seq),
  first_seen timestamptz NOT NULL,          -- our clock: when the number after it was held
  filled_at  timestamptz,                   -- null while it is open
  asks       smallint    NOT NULL DEFAULT 0,
  ask_next   timestamptz                    -- null: nobody to ask, or asked often enough
);
CREATE INDEX sequence_gap_open ON sequence_gap (device_id, boot) WHERE filled_at IS NULL;
CREATE INDEX sequence_gap_ask ON sequence_gap (ask_next) WHERE filled_at IS NULL AND ask_next IS NOT NULL;

-- Devices whose numbers had a gap before a batch or have one after it. Inserted with the batch, taken by the consumer.
CREATE TABLE sequence_mark (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  created_at timestamptz NOT NULL,
  device_ids integer[]   NOT NULL
);

-- Told under the row's own lock: two workers that fill one gap between them must not both miss that it was there.
ALTER TABLE device_sequence ADD COLUMN was_broken boolean NOT NULL DEFAULT false;

-- What leaves because of a commit, sent after it, at least once.
CREATE TABLE outbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic      text        NOT NULL,
  body       jsonb       NOT NULL,          -- goes out with this row's id as its member "id"
  created_at timestamptz NOT NULL
);

-- Batches that `account_total` does not hold yet.
CREATE TABLE account_unfolded (batch_id bigint PRIMARY KEY);
INSERT INTO account_unfolded SELECT batch_id FROM batch_account;

CREATE TABLE account_total (                -- per device, in records; 0: the device could not be known
  device_id   integer PRIMARY KEY,
  received    bigint NOT NULL,
  stored      bigint NOT NULL,
  duplicate   bigint NOT NULL,
  conflict    bigint NOT NULL,
  quarantined bigint NOT NULL
);

-- The whole account of each device, true at any moment: what is folded, and what is not yet.
CREATE VIEW device_account WITH (security_invoker = true) AS
  SELECT device_id, sum(received)::bigint AS received, sum(stored)::bigint AS stored, sum(duplicate)::bigint AS duplicate,
         sum(conflict)::bigint AS conflict, sum(quarantined)::bigint AS quarantined
  FROM (SELECT * FROM account_total
        UNION ALL
        SELECT account.device_id, account.received, account.stored, account.duplicate, account.conflict, account.quarantined
        FROM account_unfolded JOIN account USING (batch_id)) AS part
  GROUP BY device_id;

GRANT INSERT ON sequence_mark, account_unfolded TO suyuan_ingest;
GRANT SELECT ON device_account, account_total, account_unfolded TO suyuan_ingest, suyuan_jobs;
GRANT SELECT, DELETE ON sequence_mark, account_unfolded TO suyuan_jobs;
GRANT SELECT, INSERT, UPDATE, DELETE ON sequence_gap TO suyuan_jobs;
GRANT SELECT, INSERT, DELETE ON outbox TO suyuan_jobs;
GRANT INSERT, UPDATE ON account_total TO suyuan_jobs;
