-- What a logger kept, as it was handed in: bytes by their hash, and the events that name them. The hash is in the event, and by it in the
-- log; the bytes are for whoever may see the event.
CREATE TABLE logger_file (
  organisation text        NOT NULL REFERENCES organisation,
  sha256       bytea       NOT NULL CHECK (octet_length(sha256) = 32),
  bytes        bytea       NOT NULL CHECK (sha256(bytes) = sha256),
  account      uuid,                        -- whose hands; null: a program's
  at           timestamptz NOT NULL,
  PRIMARY KEY (organisation, sha256)
);
ALTER TABLE logger_file ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON logger_file TO suyuan_api USING (organisation = current_organisation()) WITH CHECK (organisation = current_organisation());
GRANT SELECT, INSERT ON logger_file TO suyuan_api;

CREATE TABLE logger_file_event (
  event        bigint NOT NULL REFERENCES event,
  organisation text   NOT NULL,
  sha256       bytea  NOT NULL,
  PRIMARY KEY (event, sha256),
  FOREIGN KEY (organisation, sha256) REFERENCES logger_file
);
CREATE INDEX logger_file_event_sha256 ON logger_file_event (sha256);
ALTER TABLE logger_file_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON logger_file_event TO suyuan_api USING (organisation = current_organisation());
GRANT SELECT ON logger_file_event TO suyuan_api;

-- The asker's own event, recorded in this transaction, names the asker's own file.
CREATE FUNCTION logger_file_attach(of_organisation text, named_as text, wanted bytea) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO logger_file_event (event, organisation, sha256)
  SELECT event.id, file.organisation, file.sha256
  FROM event JOIN logger_file AS file ON file.organisation = event.organisation AND file.sha256 = wanted
  WHERE event.organisation = of_organisation AND event.event_id = named_as AND of_organisation = current_organisation()
  ON CONFLICT DO NOTHING
$$;

-- Bytes that are the asker's own, or that an event names which the asker may see whole.
CREATE FUNCTION logger_file_seen(wanted bytea) RETURNS bytea
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT file.bytes FROM logger_file AS file
  WHERE file.sha256 = wanted AND (
    file.organisation = current_organisation()
    OR EXISTS (SELECT FROM trace_shown(ARRAY(SELECT named.event FROM logger_file_event AS named
                                             WHERE named.sha256 = wanted AND named.organisation = file.organisation)) AS shown
               WHERE shown.why <> 'published'))
  LIMIT 1
$$;
REVOKE EXECUTE ON FUNCTION logger_file_attach, logger_file_seen FROM PUBLIC;
GRANT EXECUTE ON FUNCTION logger_file_attach, logger_file_seen TO suyuan_api;
