-- How it is made evident. leaf, checkpoint and event_bytes are append-only for every service role.
CREATE TABLE sealed_window (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation text NOT NULL REFERENCES organisation,
  device_id    integer NOT NULL REFERENCES device,
  start_time   timestamptz NOT NULL,
  version      integer NOT NULL,            -- 1, then amendments
  closed       text NOT NULL CHECK (closed IN ('hour', 'excursion', 'hand_over')),
  through      timestamptz NOT NULL,        -- device time up to which it was looked at (end of the hour, or earlier when closed at once)
  readings     integer NOT NULL,
  root         bytea NOT NULL CHECK (length(root) = 32),
  leaf_keys    bytea NOT NULL,              -- 24 bytes a leaf, in tree order: series uuid, time ms int8 BE; what this version commits to
  sealed_at    timestamptz NOT NULL,
  UNIQUE (device_id, start_time, version)
);

CREATE TABLE pending (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation text   NOT NULL REFERENCES organisation,
  type         text   NOT NULL,             -- entry type
  stream_kind  text   NOT NULL CHECK (stream_kind IN ('device', 'party')),
  stream_id    text   NOT NULL,             -- device id (device.id as text), or organisation id
  body         bytea  NOT NULL,             -- RFC 8785 of the entry's body; an amended window's "amends" is filled by the sequencer
  event        bigint REFERENCES event,
  sealed_window bigint REFERENCES sealed_window,
  amends       bigint REFERENCES sealed_window,  -- the window version whose leaf the entry cites
  created_at   timestamptz NOT NULL
);

CREATE TABLE log (
  organisation text PRIMARY KEY REFERENCES organisation,
  origin       text NOT NULL UNIQUE,        -- fixed at inception, never derived again
  tree_size    bigint NOT NULL DEFAULT 0,
  epoch        bigint NOT NULL DEFAULT 0    -- raised by every take-over, checked in every sequencing transaction
);

CREATE TABLE stream_head (
  organisation text   NOT NULL REFERENCES log,
  stream       bytea  NOT NULL CHECK (length(stream) = 16),
  n            bigint NOT NULL,             -- n of its last entry
  leaf_hash    bytea  NOT NULL CHECK (length(leaf_hash) = 32),
  PRIMARY KEY (organisation, stream)
);

CREATE TABLE leaf (
  organisation  text   NOT NULL REFERENCES log,
  leaf_index    bigint NOT NULL,
  entry         bytea  NOT NULL CHECK (length(entry) <= 4096),
  leaf_hash     bytea  NOT NULL CHECK (length(leaf_hash) = 32),
  record_time   timestamptz NOT NULL,
  position      bigint UNIQUE,              -- one order of recorded events for the instance; null for other entries
  event         bigint UNIQUE REFERENCES event,
  sealed_window bigint UNIQUE REFERENCES sealed_window,
  PRIMARY KEY (organisation, leaf_index)
);

CREATE TABLE checkpoint (
  organisation text   NOT NULL REFERENCES log,
  tree_size    bigint NOT NULL,
  root_hash    bytea  NOT NULL CHECK (length(root_hash) = 32),
  note         text   NOT NULL,
  signed_at    timestamptz NOT NULL,
  PRIMARY KEY (organisation, tree_size)
);
