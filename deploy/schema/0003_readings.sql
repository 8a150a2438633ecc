-- What came in. One transaction holds a batch, its rows, its refusals, its account and its marks.
CREATE TABLE batch (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  worker      text NOT NULL,
  received_at timestamptz NOT NULL,
  messages    integer NOT NULL,             -- counted where they entered
  redelivered integer NOT NULL              -- of these, sent again by the broker (DUP)
);

-- time is the device's own, in milliseconds, never rewritten. No foreign keys: they would cost more than the row.
CREATE TABLE reading_store (
  series_id integer     NOT NULL,
  time      timestamptz NOT NULL,
  value     float8      NOT NULL,
  flags     smallint    NOT NULL,
  batch_id  bigint      NOT NULL
);
CREATE UNIQUE INDEX reading_store_key ON reading_store (series_id, time);

DO $hypertable$
BEGIN
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    PERFORM create_hypertable('reading_store', by_range('time', INTERVAL '1 day'), create_default_indexes => false);
  END IF;
END
$hypertable$;

CREATE TABLE observation (                  -- text, data and positions (latitude and longitude together)
  series_id integer     NOT NULL,
  time      timestamptz NOT NULL,
  body      jsonb       NOT NULL,
  flags     smallint    NOT NULL,
  batch_id  bigint      NOT NULL,
  UNIQUE (series_id, time)
);

-- In records. received is counted at decoding, before anything is judged; the rest where each record ended.
-- device_id 0: the device could not be known.
CREATE TABLE account (
  batch_id    bigint  NOT NULL REFERENCES batch,
  device_id   integer NOT NULL,
  received    integer NOT NULL,
  stored      integer NOT NULL,
  duplicate   integer NOT NULL,
  conflict    integer NOT NULL,
  quarantined integer NOT NULL,
  PRIMARY KEY (batch_id, device_id)
);

CREATE TABLE device_sequence (
  device_id integer NOT NULL REFERENCES device,
  boot      bigint  NOT NULL,
  stored    int8multirange NOT NULL DEFAULT '{}',  -- sequence numbers whose message was taken
  refused   int8multirange NOT NULL DEFAULT '{}',  -- sequence numbers that lie in quarantine
  PRIMARY KEY (device_id, boot)
);

CREATE TABLE quarantine (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  batch_id    bigint NOT NULL REFERENCES batch,
  received_at timestamptz NOT NULL,
  organisation text,                        -- as far as the topic tells
  topic       bytea NOT NULL,               -- bytes: it may be no valid UTF-8
  device_id   integer,
  boot        bigint,
  seq         bigint,
  records     integer NOT NULL CHECK (records > 0),
  reason      text NOT NULL,
  detail      text NOT NULL,
  key_month   text NOT NULL,                -- which monthly key the payload is encrypted under
  payload     bytea NOT NULL
);

-- What a batch touched, one row per consumer. Inserted, taken, never updated.
CREATE TABLE mark (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  consumer   text NOT NULL,
  created_at timestamptz NOT NULL,
  reason     text NOT NULL,                 -- readings, excursion, hand_over, placement, limit
  series_ids integer[] NOT NULL,
  from_times timestamptz[] NOT NULL,
  to_times   timestamptz[] NOT NULL,
  CHECK (cardinality(series_ids) = cardinality(from_times) AND cardinality(series_ids) = cardinality(to_times))
);
CREATE INDEX mark_consumer ON mark (consumer, id);

CREATE TABLE reading_1h (
  series_id integer     NOT NULL,
  hour      timestamptz NOT NULL,
  n         integer     NOT NULL,
  total     float8      NOT NULL,
  minimum   float8      NOT NULL,
  maximum   float8      NOT NULL,
  first_at  timestamptz NOT NULL,
  last_at   timestamptz NOT NULL,
  PRIMARY KEY (series_id, hour)
);

-- Device-hours that were touched and wait for their seal: over and quiet for two minutes, or urgent (an excursion, a hand-over).
CREATE TABLE open_window (
  device_id  integer     NOT NULL REFERENCES device,
  start_time timestamptz NOT NULL,
  touched_at timestamptz NOT NULL,          -- our clock: when the last mark for it was made
  urgent     text,                          -- excursion, hand_over
  PRIMARY KEY (device_id, start_time)
);
