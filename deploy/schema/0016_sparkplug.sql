-- Edge nodes of Sparkplug groups, as their certificates and sequence numbers have them: written with the batch that they
-- were read in, so that whoever takes a group over reads on where the other stopped. They carry devices of any organisation
-- and are nobody's own: no policy, and for ingest alone.
CREATE TABLE sparkplug_node (
  id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  group_id     text        NOT NULL,
  node_id      text        NOT NULL,
  online       boolean     NOT NULL,
  since        timestamptz NOT NULL,        -- online, or offline, since: our clock
  seq          smallint    NOT NULL CHECK (seq BETWEEN 0 AND 255),  -- of the last message taken
  awaits_birth boolean     NOT NULL,        -- after a break, or before the first birth: nothing is taken
  bd_seq       bigint,                      -- of the connection that its birth named; a death names the one it ends
  asked_at     timestamptz,                 -- when a birth was last asked for
  recent       bytea STORAGE MAIN NOT NULL CHECK (length(recent) = 2048),  -- of its last 256 messages 8 bytes of digest each
  UNIQUE (group_id, node_id)
);

CREATE TABLE sparkplug_birth (
  number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,  -- a new one whenever a birth says something else
  node         integer     NOT NULL REFERENCES sparkplug_node,
  device_id    text        NOT NULL,        -- of Sparkplug, not ours; '' for the node itself
  online       boolean     NOT NULL,
  since        timestamptz NOT NULL,
  same_from_ms bigint,                      -- the node's time of the first birth in a row that said this; null: no other is known
  said         jsonb       NOT NULL,        -- {"names": {metric: datatype}, "aliases": {alias: metric}}
  PRIMARY KEY (node, device_id)
);

GRANT SELECT, INSERT, UPDATE ON sparkplug_node, sparkplug_birth TO suyuan_ingest;
GRANT SELECT ON sparkplug_node, sparkplug_birth TO suyuan_jobs;
