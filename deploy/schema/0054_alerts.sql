-- Alerts: one for each excursion, told through the outbox, escalated until somebody acknowledges it by name (docs/alerts.md).

-- How bad an excursion is, as a step: the highest of which it lasted so long, or went so far beyond its limit. Proposals of ours.
CREATE TABLE alert_grade (
  grade      smallint PRIMARY KEY CHECK (grade BETWEEN 1 AND 9),
  times_hold float8 NOT NULL CHECK (times_hold >= 0),   -- so many times the limit's hold,
  minutes    float8 NOT NULL CHECK (minutes >= 0),      -- and at least so many minutes
  beyond_c   float8 NOT NULL CHECK (beyond_c > 0)       -- or so many °C beyond the limit
);
INSERT INTO alert_grade VALUES (1, 0, 0, 'infinity'), (2, 2, 30, 2), (3, 4, 120, 5);

CREATE TABLE alert (
  excursion    bigint PRIMARY KEY REFERENCES excursion,
  organisation text        NOT NULL REFERENCES organisation,
  grade        smallint    NOT NULL,                     -- the highest that was told
  level        smallint    NOT NULL DEFAULT 0,           -- how often it escalated since it was told
  told_at      timestamptz NOT NULL,                     -- when it was first told, or told again since it began anew
  closed_at    timestamptz,                              -- when that was told; null while the excursion is open
  closed_by    text CHECK (closed_by IN ('recovery', 'out_of_force', 'sensor_silent', 'void', 'merged')),
  CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
CREATE INDEX alert_open ON alert (told_at) WHERE closed_at IS NULL;
CREATE INDEX alert_organisation ON alert (organisation, excursion);

-- By a person who has an account, once: it stays with the excursion's id whatever becomes of it.
CREATE TABLE alert_acknowledgement (
  excursion    bigint PRIMARY KEY REFERENCES alert,
  organisation text        NOT NULL REFERENCES organisation,
  account      uuid        NOT NULL REFERENCES user_account,
  name         text        NOT NULL,                     -- as it was
  comment      text        NOT NULL CHECK (comment ~ '\S' AND length(comment) <= 2000),
  at           timestamptz NOT NULL
);

-- What was told of it, by the excursion's version that then stood. `id` is the message's own, everywhere.
CREATE TABLE alert_message (
  id        uuid PRIMARY KEY,
  excursion bigint      NOT NULL REFERENCES alert,
  version   integer     NOT NULL,
  what      text        NOT NULL CHECK (what IN ('opened', 'grew', 'reopened', 'escalated', 'closed')),
  grade     smallint    NOT NULL,
  level     smallint    NOT NULL,
  at        timestamptz NOT NULL
);
CREATE INDEX alert_message_excursion ON alert_message (excursion);

-- Who is told besides those who listen to the broker. A webhook's secret is no column: it is made of the organisation's key and `id`.
CREATE TABLE alert_channel (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  organisation text        NOT NULL REFERENCES organisation,
  kind         text        NOT NULL CHECK (kind IN ('webhook', 'email')),
  address      text        NOT NULL CHECK (length(address) <= 500 AND CASE kind WHEN 'webhook' THEN address ~ '^https?://[!-~]+$'
                                           ELSE address ~ '^[!-?A-~]+@[!-?A-~]+$' END),
  level        smallint    NOT NULL CHECK (level BETWEEN 0 AND 9),   -- told once an alert has escalated so often
  added_at     timestamptz NOT NULL,
  added_by     uuid REFERENCES user_account,
  UNIQUE (organisation, kind, address)
);

-- Where a message arrived, or was given up. Which address that was goes with the channel.
CREATE TABLE alert_delivery (
  message  uuid        NOT NULL REFERENCES alert_message,
  channel  uuid,                                         -- null: the broker
  kind     text        NOT NULL CHECK (kind IN ('mqtt', 'webhook', 'email')),
  attempts integer     NOT NULL,
  ended_at timestamptz NOT NULL,
  arrived  boolean     NOT NULL,
  UNIQUE NULLS NOT DISTINCT (message, channel)
);

-- The outbox carries both: what goes to the broker (`channel` null), and what goes to a channel, each by its own turn.
ALTER TABLE outbox
  ADD COLUMN key         uuid        NOT NULL DEFAULT gen_random_uuid(),   -- names the message to whoever gets it, and stays
  ADD COLUMN channel     uuid        REFERENCES alert_channel ON DELETE CASCADE,
  ADD COLUMN attempts    integer     NOT NULL DEFAULT 0,
  ADD COLUMN next_at     timestamptz,                                      -- of a channel's: not before
  ADD COLUMN last_error  text,
  ADD COLUMN given_up_at timestamptz,
  ADD CHECK ((channel IS NULL) = (next_at IS NULL));
CREATE INDEX outbox_broker ON outbox (id) WHERE channel IS NULL;
CREATE INDEX outbox_channel ON outbox (next_at) WHERE channel IS NOT NULL AND given_up_at IS NULL;
CREATE INDEX outbox_of_channel ON outbox (channel) WHERE channel IS NOT NULL;

-- What stood before there were alerts: told to nobody now, but what is still open escalates if nobody acknowledges it.
INSERT INTO alert (excursion, organisation, grade, told_at, closed_at, closed_by)
SELECT id, organisation, 1, CASE state WHEN 'open' THEN now() ELSE opened_at END, CASE WHEN state <> 'open' THEN computed_at END,
       CASE state WHEN 'open' THEN NULL WHEN 'closed' THEN closed_by ELSE state END
FROM excursion;

-- What one says of an excursion: where it was measured, by which limit, since when, how far. Whoever reads it sees what their
-- own policies show; the name of another's place only where it publishes.
CREATE VIEW alert_facts WITH (security_invoker = true) AS
  SELECT excursion.id AS excursion, excursion.version, excursion.series_id, excursion.trigger_time, placed.parent, jsonb_build_object(
    'excursion', jsonb_build_object('id', excursion.id, 'version', excursion.version, 'state', excursion.state, 'start', excursion.start_time,
      'trigger', excursion.trigger_time, 'end', excursion.end_time, 'closed_by', excursion.closed_by, 'merged_into', excursion.merged_into,
      'extreme_c', excursion.extreme, 'minutes_at_least', excursion.minutes_at_least, 'minutes_at_most', excursion.minutes_at_most),
    'device', jsonb_build_object('id', device.external_id, 'channel', series.channel, 'position', placed.probe_position),
    'place', CASE WHEN placed.parent IS NOT NULL THEN jsonb_build_object('id', placed.parent, 'kind', site.kind, 'name_zh', site.name_zh,
      'name_en', site.name_en, 'time_zone', site.time_zone) END,
    'limit', rule.body - ARRAY['stages', 'positions', 'guard_band_c', 'valid_from', 'valid_to']) AS facts
  FROM excursion
  JOIN series ON series.id = excursion.series_id
  JOIN device ON device.id = series.device_id
  JOIN limit_version AS rule ON rule.id = excursion.limit_id AND rule.version = excursion.limit_version
  LEFT JOIN LATERAL (   -- as in excursion_probe
    SELECT placement.parent, placement.probe_position FROM placement
    WHERE placement.series_id = excursion.series_id AND NOT placement.conflict
      AND placement.valid && tstzrange(excursion.start_time, excursion.trigger_time, '[]')
    ORDER BY lower(placement.valid) DESC LIMIT 1) AS placed ON true
  LEFT JOIN LATERAL (
    SELECT place.kind, place.name_zh, place.name_en, place.time_zone
    FROM place JOIN organisation ON organisation.id = place.organisation
    WHERE place.id = placed.parent AND (place.organisation = excursion.organisation OR organisation.publishes)) AS site ON true;

DO $policies$
DECLARE
  narrow text;
BEGIN
  FOREACH narrow IN ARRAY ARRAY['alert', 'alert_acknowledgement', 'alert_channel'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', narrow);
    EXECUTE format('CREATE POLICY own ON %I TO suyuan_api USING (organisation = current_organisation())', narrow);
    EXECUTE format('CREATE POLICY work ON %I TO suyuan_jobs USING (true) WITH CHECK (true)', narrow);
  END LOOP;
END
$policies$;
ALTER TABLE alert_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE alert_delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON alert_message TO suyuan_api USING (EXISTS (SELECT FROM alert WHERE alert.excursion = alert_message.excursion));
CREATE POLICY own ON alert_delivery TO suyuan_api USING (EXISTS (SELECT FROM alert_message WHERE alert_message.id = alert_delivery.message));
CREATE POLICY work ON alert_message TO suyuan_jobs USING (true) WITH CHECK (true);
CREATE POLICY work ON alert_delivery TO suyuan_jobs USING (true) WITH CHECK (true);
CREATE POLICY erase ON alert_acknowledgement TO suyuan_eraser USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON alert TO suyuan_jobs;
GRANT SELECT, INSERT ON alert_message, alert_delivery TO suyuan_jobs;
GRANT SELECT ON alert_acknowledgement, alert_channel, alert_grade, alert_facts TO suyuan_jobs;
GRANT UPDATE (attempts, next_at, last_error, given_up_at) ON outbox TO suyuan_jobs;
GRANT SELECT ON alert, alert_acknowledgement, alert_message, alert_delivery, alert_facts TO suyuan_api;
GRANT SELECT, UPDATE (name, comment) ON alert_acknowledgement TO suyuan_eraser;

-- Whoever belongs to the organisation whose alert it is; the first one stands. Returns whose it is now, or no row where there is
-- no such alert of theirs. `mine`: this call gave it.
CREATE FUNCTION alert_acknowledge(wanted bigint, words text, moment timestamptz) RETURNS TABLE (mine boolean, name text, comment text, at timestamptz)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  given boolean;
BEGIN
  INSERT INTO alert_acknowledgement (excursion, organisation, account, name, comment, at)
  SELECT alert.excursion, alert.organisation, person.id, person.name, words, moment
  FROM alert JOIN user_account AS person ON person.organisation = alert.organisation
  WHERE alert.excursion = wanted AND person.id = current_account() AND person.disabled_at IS NULL
  ON CONFLICT DO NOTHING;
  given := FOUND;
  RETURN QUERY SELECT given, stands.name, stands.comment, stands.at FROM alert_acknowledgement AS stands
    WHERE stands.excursion = wanted AND stands.organisation = (SELECT organisation FROM user_account WHERE id = current_account() AND disabled_at IS NULL);
END
$$;

-- Channels are set by administrators, and by the owner of the database. Of what waits and failed there, the count and the last reason.
CREATE FUNCTION alert_channels() RETURNS TABLE (id uuid, organisation text, kind text, address text, level smallint, added_at timestamptz,
  arrived_at timestamptz, waiting bigint, given_up bigint, last_error text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM require_administrator();
  RETURN QUERY
    SELECT each.id, each.organisation, each.kind, each.address, each.level, each.added_at,
           (SELECT max(done.ended_at) FROM alert_delivery AS done WHERE done.channel = each.id AND done.arrived),
           (SELECT count(*) FROM outbox WHERE outbox.channel = each.id AND outbox.given_up_at IS NULL),
           (SELECT count(*) FROM outbox WHERE outbox.channel = each.id AND outbox.given_up_at IS NOT NULL),
           (SELECT tried.last_error FROM outbox AS tried WHERE tried.channel = each.id AND tried.last_error IS NOT NULL ORDER BY tried.id DESC LIMIT 1)
    FROM alert_channel AS each ORDER BY each.organisation, each.level, each.kind, each.address;
END
$$;
CREATE INDEX alert_delivery_channel ON alert_delivery (channel, ended_at) WHERE arrived;

-- Null: there is that channel already.
CREATE FUNCTION alert_channel_add(of_organisation text, of_kind text, at_address text, from_level smallint, moment timestamptz) RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  by_whom uuid := require_administrator();
  made uuid;
BEGIN
  INSERT INTO alert_channel (organisation, kind, address, level, added_at, added_by)
  VALUES (of_organisation, of_kind, at_address, from_level, moment, by_whom) ON CONFLICT DO NOTHING RETURNING id INTO made;
  RETURN made;
END
$$;

-- With what waits for it. False: there is no such channel.
CREATE FUNCTION alert_channel_remove(wanted uuid) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM require_administrator();
  DELETE FROM alert_channel WHERE id = wanted;
  RETURN FOUND;
END
$$;

-- A message that says it is one; it is sent, tried again and given up as any other.
CREATE FUNCTION alert_channel_test(wanted uuid, moment timestamptz) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM require_administrator();
  INSERT INTO outbox (topic, body, created_at, channel, next_at)
  SELECT 'suyuan/v1/' || organisation || '/alerts', jsonb_build_object('kind', 'test', 'organisation', organisation, 'at', moment), moment, id, moment
  FROM alert_channel WHERE id = wanted;
  RETURN FOUND;
END
$$;

REVOKE EXECUTE ON FUNCTION alert_acknowledge, alert_channels, alert_channel_add, alert_channel_remove, alert_channel_test FROM PUBLIC;
GRANT EXECUTE ON FUNCTION alert_acknowledge, alert_channels, alert_channel_add, alert_channel_remove, alert_channel_test TO suyuan_api;
