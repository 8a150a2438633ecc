-- What was said. event is narrow and under row-level security; event_bytes can never change.
CREATE TABLE event (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation  text NOT NULL REFERENCES organisation,
  event_id      text NOT NULL,              -- eventID as sent, or the CBV hash
  is_error      boolean NOT NULL,           -- carries an errorDeclaration
  type          text NOT NULL,
  event_time    timestamptz NOT NULL,
  biz_step      text,
  received_at   timestamptz NOT NULL,
  UNIQUE (organisation, event_id, is_error)
);

CREATE TABLE event_bytes (
  event        bigint PRIMARY KEY REFERENCES event,
  bytes        bytea  NOT NULL,             -- RFC 8785
  field_names  text[] NOT NULL,             -- top-level names in RFC 8785 order
  salts        bytea  NOT NULL,             -- 16 bytes a field, same order
  field_hashes bytea  NOT NULL,             -- 32 bytes a field: the leaves under the entry's commitment
  CHECK (length(salts) = 16 * cardinality(field_names) AND length(field_hashes) = 32 * cardinality(field_names))
);

CREATE TABLE event_party (
  event        bigint NOT NULL REFERENCES event,
  organisation text   NOT NULL,
  part         text   NOT NULL,             -- capture, source, destination
  PRIMARY KEY (event, organisation, part)
);

CREATE TABLE event_mention (                -- canonical identifiers an event names, in any role
  event      bigint NOT NULL REFERENCES event,
  identifier text   NOT NULL,
  role       text   NOT NULL,
  PRIMARY KEY (identifier, event, role)
);
CREATE INDEX event_mention_event ON event_mention (event);

CREATE TABLE capture_job (
  id              uuid PRIMARY KEY,
  organisation    text NOT NULL REFERENCES organisation,
  created_at      timestamptz NOT NULL,
  finished_at     timestamptz,
  success         boolean,
  error_behaviour text NOT NULL,
  events          integer NOT NULL,
  errors          jsonb NOT NULL DEFAULT '[]'
);

-- Projections of events: dropped and rebuilt at will.
CREATE TABLE projection (
  name     text PRIMARY KEY,
  position bigint NOT NULL
);

-- What the projection could not do, so that one event or lot stops no other: for people to look at. Rebuilding tries it again.
CREATE TABLE set_aside (
  position bigint NOT NULL,                 -- of the event; 0: a change of the registry
  part     text   NOT NULL,                 -- event, presence, placement, hand_over; or the device or lot that changed
  reason   text   NOT NULL,
  at       timestamptz NOT NULL,
  PRIMARY KEY (position, part)
);

-- What projected rows also rest on, besides events, and changed: inserted by whoever registers, taken by the projection.
CREATE TABLE registry_change (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('device', 'product', 'lot', 'limit')),
  identifier text NOT NULL,                 -- GIAI, class URI, lot (of a class that changed), limit and version
  at         timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE placement (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  series_id      integer NOT NULL REFERENCES series,
  organisation   text NOT NULL,
  parent         text NOT NULL,
  probe_position text NOT NULL,
  valid          tstzrange NOT NULL,
  conflict       boolean NOT NULL
);
CREATE INDEX placement_series ON placement (series_id);
CREATE INDEX placement_parent ON placement (parent);

CREATE TABLE presence (                     -- which product was inside which place, vehicle or container, at which stage
  holder       text NOT NULL,
  lot          text NOT NULL,
  rule_product text,
  stage        text NOT NULL,
  valid        tstzrange NOT NULL
);
CREATE INDEX presence_holder ON presence (holder);
CREATE INDEX presence_lot ON presence (lot);

CREATE TABLE excursion (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation     text NOT NULL,
  series_id        integer NOT NULL REFERENCES series,
  limit_id         text NOT NULL,
  limit_version    integer NOT NULL,
  version          integer NOT NULL,        -- rises with every change; excursion_version keeps all of them
  state            text NOT NULL CHECK (state IN ('open', 'closed', 'merged', 'void')),
  merged_into      bigint REFERENCES excursion,
  start_time       timestamptz NOT NULL,
  trigger_time     timestamptz NOT NULL,
  end_time         timestamptz,
  closed_by        text,
  extreme          float8 NOT NULL,
  minutes_at_least float8 NOT NULL,
  minutes_at_most  float8 NOT NULL,
  degree_minutes   float8 NOT NULL,
  opened_at        timestamptz NOT NULL,
  computed_at      timestamptz NOT NULL,
  FOREIGN KEY (limit_id, limit_version) REFERENCES limit_version
);
CREATE INDEX excursion_series ON excursion (series_id);

CREATE TABLE excursion_version (
  excursion   bigint NOT NULL REFERENCES excursion,
  version     integer NOT NULL,
  body        jsonb NOT NULL,
  computed_at timestamptz NOT NULL,
  PRIMARY KEY (excursion, version)
);
