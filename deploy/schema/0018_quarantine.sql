-- What became of a row of quarantine: once, and never undone. The row itself stays as it was.
CREATE TABLE quarantine_replay (
  quarantine_id bigint PRIMARY KEY REFERENCES quarantine,
  batch_id      bigint NOT NULL REFERENCES batch,               -- whose account takes the row's records back
  replayed_at   timestamptz NOT NULL,
  outcome       text NOT NULL CHECK (outcome IN ('taken', 'partly', 'refused'))   -- the last two: other rows say what is refused now
);
CREATE INDEX quarantine_replay_batch ON quarantine_replay (batch_id);
CREATE INDEX quarantine_batch ON quarantine (batch_id);
CREATE INDEX quarantine_received_at ON quarantine (received_at);
CREATE INDEX quarantine_number ON quarantine (device_id, boot, seq) WHERE seq IS NOT NULL;

CREATE VIEW quarantine_open WITH (security_invoker = true) AS
  SELECT id, batch_id, received_at, organisation, topic, device_id, boot, seq, records, reason, detail, key_month, payload
  FROM quarantine WHERE NOT EXISTS (SELECT FROM quarantine_replay WHERE quarantine_replay.quarantine_id = quarantine.id);

-- How much lies there of one device and day (UTC, our clock), and what was let go beyond the budget: the only loss there is.
CREATE TABLE quarantine_day (
  day             date    NOT NULL,
  device_id       integer NOT NULL,         -- 0: not known; then by the organisation that the topic names
  organisation    text    NOT NULL,         -- '' for a known device, and where the topic names none that is registered
  kept_rows       integer NOT NULL DEFAULT 0,
  kept_bytes      bigint  NOT NULL DEFAULT 0,
  let_go_messages bigint  NOT NULL DEFAULT 0,
  let_go_records  bigint  NOT NULL DEFAULT 0,
  first_let_go_at timestamptz,
  last_let_go_at  timestamptz,
  last_reason     text,
  PRIMARY KEY (day, device_id, organisation)
);

-- Numbers in `refused` whose message was let go, in part or whole: held, so that the device does not send them for ever.
ALTER TABLE device_sequence ADD COLUMN let_go int8multirange NOT NULL DEFAULT '{}';

-- For metrics: what lies there and waits for somebody, without a word of what it says.
CREATE VIEW quarantine_count AS
  SELECT coalesce(device_id, 0) AS device_id, reason, count(*) AS rows, sum(records) AS records, min(received_at) AS oldest
  FROM quarantine WHERE NOT EXISTS (SELECT FROM quarantine_replay WHERE quarantine_replay.quarantine_id = quarantine.id)
  GROUP BY coalesce(device_id, 0), reason;

GRANT SELECT, INSERT ON quarantine_replay TO suyuan_ingest;
GRANT SELECT, INSERT, UPDATE ON quarantine_day TO suyuan_ingest;
GRANT SELECT ON quarantine_open TO suyuan_ingest;
GRANT SELECT ON quarantine_count TO suyuan_ingest, suyuan_jobs;
GRANT SELECT ON quarantine_day TO suyuan_jobs;

-- How far a file has been taken in. Written in the transaction that stores what it tells of, so a run that was killed goes on
-- where it was.
CREATE TABLE backfill (
  sha256      bytea NOT NULL CHECK (length(sha256) = 32),
  reading     text  NOT NULL,               -- how the file was read: another zone or device makes other readings of it
  name        text  NOT NULL,
  started_at  timestamptz NOT NULL,
  finished_at timestamptz,
  through     bigint NOT NULL DEFAULT 0,    -- rows, lines or packs that are done
  readings    bigint NOT NULL DEFAULT 0,    -- found in the file
  stored      bigint NOT NULL DEFAULT 0,
  duplicate   bigint NOT NULL DEFAULT 0,
  refused     bigint NOT NULL DEFAULT 0,    -- conflicts too
  PRIMARY KEY (sha256, reading)
);
GRANT SELECT, INSERT, UPDATE ON backfill TO suyuan_ingest;
