-- Who and what exists. Every row has an owning organisation.
CREATE TABLE organisation (
  id        text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name_zh   text NOT NULL,
  name_en   text NOT NULL,
  party     text NOT NULL UNIQUE,           -- PGLN or URI, canonical
  kind      text NOT NULL,
  publishes boolean NOT NULL DEFAULT true   -- its chain may be shown to a shopper
);

CREATE TABLE place (                        -- also vehicles and compartments, under their GIAI
  id           text PRIMARY KEY,            -- canonical URI
  organisation text NOT NULL REFERENCES organisation,
  kind         text NOT NULL,
  name_zh      text NOT NULL,
  name_en      text NOT NULL,
  region       text CHECK (region ~ '^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})$'),
  latitude     float8 CHECK (latitude BETWEEN -90 AND 90),      -- WGS-84
  longitude    float8 CHECK (longitude BETWEEN -180 AND 180),
  time_zone    text NOT NULL DEFAULT 'Asia/Shanghai'
);

CREATE TABLE product (
  id             text PRIMARY KEY,          -- GTIN-14, or the code of a product without one
  organisation   text NOT NULL REFERENCES organisation,
  name_zh        text NOT NULL,
  name_en        text NOT NULL,
  rule_product   text NOT NULL,             -- the word that limits use: one rule serves many GTINs
  net_content_kg float8 CHECK (net_content_kg > 0),
  classes        text[] NOT NULL            -- class URIs; a lot's URI is one of them and then '/10/...' or '.{lot}'
);

CREATE TABLE device (
  id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation text NOT NULL REFERENCES organisation,
  scheme       text NOT NULL DEFAULT 'suyuan',
  external_id  text NOT NULL,
  giai         text NOT NULL UNIQUE,
  model        text NOT NULL,
  accuracy_c   float8 NOT NULL DEFAULT 0.5 CHECK (accuracy_c >= 0),
  interval_s   integer NOT NULL CHECK (interval_s > 0),
  UNIQUE (scheme, external_id)
);

CREATE TABLE series (
  id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uuid          uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),  -- its name in sealed windows: random, so it tells nothing
  organisation  text NOT NULL REFERENCES organisation,
  device_id     integer NOT NULL REFERENCES device,
  channel       text NOT NULL,
  quantity      text NOT NULL,
  unit          text NOT NULL,              -- canonical unit of the stored value
  UNIQUE (device_id, channel)
);

CREATE TABLE api_token (
  sha256       bytea PRIMARY KEY CHECK (length(sha256) = 32),
  organisation text NOT NULL REFERENCES organisation
);

CREATE TABLE limit_version (
  id         text NOT NULL,
  version    integer NOT NULL,
  product    text NOT NULL,
  stages     text[] NOT NULL,
  positions  text[] NOT NULL,
  body       jsonb NOT NULL,                -- the whole rule as it stood
  PRIMARY KEY (id, version)
);
