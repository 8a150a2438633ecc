-- Who may sign in. (`account` is the account of messages, 0003; a person's is `user_account`.)
-- No service may read or write these tables: what a service may do with them is a function below, one login or session at
-- a time. No hash of a password leaves the database, and only a session's own token, as its SHA-256, opens what an account
-- may do. Accounts are administered by the database's owner (`suyuan account`) and by administrators.

-- GB/T 2260 prefixes, and GB/T 10114 below them; none of them empty.
CREATE FUNCTION are_regions(regions text[]) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS $$ SELECT coalesce(bool_and(coalesce(region, '') ~ '^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})$'), true) FROM unnest(regions) AS region $$;

CREATE TABLE user_account (
  id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  login               text NOT NULL UNIQUE CHECK (login ~ '^[a-z0-9][a-z0-9._@-]{1,62}$'),
  name                text NOT NULL CHECK (name ~ '\S' AND length(name) <= 100),
  organisation        text REFERENCES organisation,
  roles               text[] NOT NULL,
  department          text CHECK (department IN ('agriculture', 'market_regulation')),
  regions             text[] NOT NULL DEFAULT '{}' CHECK (are_regions(regions)),
  password_hash       text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
  created_at          timestamptz NOT NULL,
  password_changed_at timestamptz NOT NULL,
  disabled_at         timestamptz,
  -- Who handles goods belongs to one organisation; who oversees or administers to none, and does nothing else.
  CONSTRAINT roles_are_known CHECK (cardinality(roles) > 0 AND roles <@ ARRAY['grower', 'packer', 'carrier', 'warehouse',
    'market', 'stall', 'retailer', 'official', 'auditor', 'administrator']),
  CONSTRAINT roles_fit_together CHECK (cardinality(roles) = 1
    OR NOT roles && ARRAY['official', 'auditor', 'administrator']),
  CONSTRAINT organisation_of_who_handles_goods CHECK (
    (organisation IS NOT NULL) = (NOT roles && ARRAY['official', 'auditor', 'administrator'])),
  CONSTRAINT department_of_an_official CHECK ((department IS NOT NULL) = ('official' = ANY (roles))),
  CONSTRAINT regions_of_who_oversees CHECK ((cardinality(regions) > 0) = (roles && ARRAY['official', 'auditor']))
);

CREATE TABLE user_session (
  sha256     bytea PRIMARY KEY CHECK (length(sha256) = 32),   -- of the random token in the cookie, which lies nowhere
  account    uuid NOT NULL REFERENCES user_account,
  created_at timestamptz NOT NULL,
  last_seen  timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX user_session_account ON user_session (account);

-- Whose session it is that `suyuan.session` names: the SHA-256 of its token, in hexadecimal.
CREATE FUNCTION current_account() RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  AS $$ SELECT account FROM user_session WHERE sha256 = decode(current_setting('suyuan.session', true), 'hex') $$;

CREATE TABLE sign_in_attempt (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  login     text NOT NULL,                                    -- as typed: unknown ones are slowed down too
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),   -- by this clock: no caller says that the wait is over
  made_in   xid8 NOT NULL DEFAULT pg_current_xact_id(),
  handle    uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),   -- who began it is told, and nobody guesses
  is_right  boolean NOT NULL,
  succeeded boolean NOT NULL DEFAULT false
);
CREATE INDEX sign_in_attempt_login ON sign_in_attempt (login, id);
CREATE INDEX sign_in_attempt_at ON sign_in_attempt (at);

CREATE TABLE account_change (                                 -- what became of accounts, and by whom; null: the owner
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    uuid NOT NULL REFERENCES user_account,
  changed_by uuid,
  what       text NOT NULL CHECK (what IN ('added', 'disabled', 'enabled', 'password', 'roles')),
  at         timestamptz NOT NULL
);

-- What was answered to a request with an Idempotency-Key: the same again gets the same answer, and nothing is done twice.
CREATE TABLE idempotency (
  scope       text NOT NULL,                                  -- whose key: 'account:{uuid}' or 'organisation:{id}'
  key         text NOT NULL CHECK (length(key) BETWEEN 8 AND 200),
  fingerprint bytea NOT NULL,                                 -- of what was asked for
  status      smallint NOT NULL,
  body        jsonb NOT NULL,
  location    text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_age ON idempotency (scope, created_at);
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION current_scope() RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT coalesce('account:' || current_account()::text, 'organisation:' || current_organisation()) $$;
CREATE POLICY own ON idempotency TO suyuan_api USING (scope = current_scope()) WITH CHECK (scope = current_scope());
GRANT SELECT, INSERT, DELETE ON idempotency TO suyuan_api;

-- Signing in -------------------------------------------------------------------------------------------------------------

-- Five wrong passwords within a quarter of an hour, and the login waits: until the oldest of them is a quarter of an hour old.
CREATE FUNCTION sign_in_wait(wanted text) RETURNS interval
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT failed.at + INTERVAL '15 minutes' - clock_timestamp()
  FROM sign_in_attempt AS failed
  WHERE failed.login = wanted AND NOT failed.succeeded AND failed.at > clock_timestamp() - INTERVAL '15 minutes'
    AND failed.id > coalesce((SELECT max(good.id) FROM sign_in_attempt AS good WHERE good.login = wanted AND good.succeeded), 0)
  ORDER BY failed.id DESC OFFSET 4 LIMIT 1
$$;

-- How that login's password is hashed: the stored hash with nothing in its last part. Null: there is no such account.
CREATE FUNCTION sign_in_salt(wanted text) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT part[1] || repeat('A', length(part[2]))
  FROM user_account CROSS JOIN regexp_match(password_hash, '^(.*\$)(.*)$') AS part WHERE login = wanted
$$;

-- An attempt counts as failed until `finish_sign_in` says otherwise, and the lock makes attempts at one login queue, so that
-- many at once are no way around the limit. Null: the login must wait, and nothing is counted.
CREATE FUNCTION begin_sign_in(wanted text, tried_hash text) RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  attempt uuid;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('sign_in ' || wanted, 0));
  DELETE FROM sign_in_attempt AS old WHERE old.at < clock_timestamp() - INTERVAL '1 day';
  IF sign_in_wait(wanted) IS NULL THEN
    INSERT INTO sign_in_attempt (login, is_right)
    VALUES (wanted, EXISTS (SELECT FROM user_account WHERE login = wanted AND password_hash = tried_hash))
    RETURNING handle INTO attempt;
  END IF;
  RETURN attempt;
END
$$;

-- Whose password was right in that attempt, its account locked until the transaction ends; null where it was not. Only what
-- was counted and committed before is told: nobody takes the count back who has seen the answer.
CREATE FUNCTION take_attempt(attempt uuid) RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  who uuid;
BEGIN
  SELECT found.id INTO who FROM user_account AS found
  WHERE found.login = (SELECT login FROM sign_in_attempt WHERE handle = attempt AND made_in <> pg_current_xact_id()) FOR UPDATE;
  -- A password that was reset while we waited for the account has taken the attempt back.
  UPDATE sign_in_attempt AS tried SET succeeded = found.disabled_at IS NULL FROM user_account AS found
  WHERE tried.handle = attempt AND found.id = who AND tried.is_right AND NOT tried.succeeded;
  RETURN CASE WHEN FOUND THEN who END;
END
$$;

-- 'signed in', and a session begins; 'wrong' or 'disabled'. `better_hash`: null, or the same password under parameters that
-- have grown.
CREATE FUNCTION finish_sign_in(attempt uuid, token bytea, better_hash text, at timestamptz, lasts interval) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  who uuid := take_attempt(attempt);
BEGIN
  IF who IS NULL THEN
    RETURN 'wrong';
  ELSIF EXISTS (SELECT FROM user_account WHERE id = who AND disabled_at IS NOT NULL) THEN
    RETURN 'disabled';
  END IF;
  UPDATE user_account SET password_hash = coalesce(better_hash, password_hash) WHERE id = who;
  DELETE FROM user_session WHERE account = who AND expires_at <= at;
  INSERT INTO user_session (sha256, account, created_at, last_seen, expires_at) VALUES (token, who, at, at, at + lasts);
  RETURN 'signed in';
END
$$;

-- Who a session is of, while it lasts. That it was seen is written down every few minutes, not at every request.
CREATE FUNCTION session_account(token bytea, at timestamptz, idle interval)
  RETURNS TABLE (id uuid, login text, name text, organisation text, organisation_zh text, organisation_en text, roles text[],
                 department text, regions text[])
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  UPDATE user_session AS seen SET last_seen = at
  WHERE seen.sha256 = token AND seen.last_seen > at - idle AND seen.last_seen <= at - INTERVAL '5 minutes' AND seen.expires_at > at;
  RETURN QUERY
    SELECT found.id, found.login, found.name, found.organisation, own.name_zh, own.name_en, found.roles, found.department, found.regions
    FROM user_session AS open JOIN user_account AS found ON found.id = open.account AND found.disabled_at IS NULL
    LEFT JOIN organisation AS own ON own.id = found.organisation
    WHERE open.sha256 = token AND open.last_seen > at - idle AND open.expires_at > at;
END
$$;

CREATE FUNCTION end_session(token bytea) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  AS $$ DELETE FROM user_session WHERE sha256 = token $$;

-- One's own password, after an attempt with the one that was; false where that was wrong. Every other session of the account ends.
CREATE FUNCTION change_own_password(attempt uuid, new_hash text, at timestamptz) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  who uuid := current_account();
BEGIN
  IF who IS NULL OR take_attempt(attempt) IS DISTINCT FROM who THEN
    RETURN false;
  END IF;
  UPDATE user_account SET password_hash = new_hash, password_changed_at = at WHERE id = who;
  DELETE FROM user_session WHERE account = who AND sha256 <> decode(current_setting('suyuan.session'), 'hex');
  DELETE FROM sign_in_attempt WHERE login = (SELECT login FROM user_account WHERE id = who);
  INSERT INTO account_change (account, changed_by, what, at) VALUES (who, who, 'password', at);
  RETURN true;
END
$$;

-- Administering ----------------------------------------------------------------------------------------------------------

-- The database's owner, or an administrator by their own session. Returns who: null for the owner.
CREATE FUNCTION require_administrator() RETURNS uuid
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM user_account WHERE id = current_account() AND 'administrator' = ANY (roles) AND disabled_at IS NULL) THEN
    RETURN current_account();
  END IF;
  IF pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'public.user_account'::regclass), 'MEMBER') THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'accounts are administered by administrators and by the owner of the database' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION account_list()
  RETURNS TABLE (id uuid, login text, name text, organisation text, roles text[], department text, regions text[],
                 created_at timestamptz, password_changed_at timestamptz, disabled_at timestamptz, last_seen timestamptz)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM require_administrator();
  RETURN QUERY
    SELECT each.id, each.login, each.name, each.organisation, each.roles, each.department, each.regions,
           each.created_at, each.password_changed_at, each.disabled_at,
           (SELECT max(session.last_seen) FROM user_session AS session WHERE session.account = each.id)
    FROM user_account AS each ORDER BY each.disabled_at IS NOT NULL, each.login;
END
$$;

CREATE FUNCTION account_add(new_login text, new_name text, of_organisation text, new_roles text[], new_department text,
                            new_regions text[], new_hash text, at timestamptz) RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  by_whom uuid := require_administrator();
  made uuid;
BEGIN
  INSERT INTO user_account (login, name, organisation, roles, department, regions, password_hash, created_at, password_changed_at)
  VALUES (new_login, new_name, of_organisation, new_roles, new_department, new_regions, new_hash, at, at)
  RETURNING id INTO made;
  INSERT INTO account_change (account, changed_by, what, at) VALUES (made, by_whom, 'added', at);
  RETURN made;
END
$$;

-- False: there is no such account, or it is so already. Nobody disables the account that they are signed in with.
CREATE FUNCTION account_disable(wanted uuid, disabled boolean, at timestamptz) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  by_whom uuid := require_administrator();
BEGIN
  IF wanted = by_whom THEN
    RAISE EXCEPTION 'nobody disables their own account' USING ERRCODE = 'check_violation', CONSTRAINT = 'not_ones_own';
  END IF;
  UPDATE user_account SET disabled_at = CASE WHEN disabled THEN at END WHERE id = wanted AND (disabled_at IS NULL) = disabled;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM user_session WHERE account = wanted;
  INSERT INTO account_change (account, changed_by, what, at)
  VALUES (wanted, by_whom, CASE WHEN disabled THEN 'disabled' ELSE 'enabled' END, at);
  RETURN true;
END
$$;

-- Ends the account's sessions, and what was counted against its login: who was given a new password need not wait.
CREATE FUNCTION account_password(wanted uuid, new_hash text, at timestamptz) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  by_whom uuid := require_administrator();
BEGIN
  UPDATE user_account SET password_hash = new_hash, password_changed_at = at WHERE id = wanted;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM user_session WHERE account = wanted;
  DELETE FROM sign_in_attempt WHERE login = (SELECT login FROM user_account WHERE id = wanted);
  INSERT INTO account_change (account, changed_by, what, at) VALUES (wanted, by_whom, 'password', at);
  RETURN true;
END
$$;

CREATE FUNCTION account_roles(wanted uuid, new_name text, of_organisation text, new_roles text[], new_department text,
                              new_regions text[], at timestamptz) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  by_whom uuid := require_administrator();
BEGIN
  IF wanted = by_whom AND NOT 'administrator' = ANY (new_roles) THEN
    RAISE EXCEPTION 'nobody takes the administrator''s role from themselves' USING ERRCODE = 'check_violation', CONSTRAINT = 'not_ones_own';
  END IF;
  UPDATE user_account SET name = new_name, organisation = of_organisation, roles = new_roles, department = new_department,
         regions = new_regions WHERE id = wanted;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO account_change (account, changed_by, what, at) VALUES (wanted, by_whom, 'roles', at);
  RETURN true;
END
$$;

REVOKE EXECUTE ON FUNCTION current_account, sign_in_wait, sign_in_salt, begin_sign_in, take_attempt, finish_sign_in, session_account, end_session,
  change_own_password, require_administrator, account_list, account_add, account_disable, account_password, account_roles FROM PUBLIC;
GRANT EXECUTE ON FUNCTION current_account, sign_in_wait, sign_in_salt, begin_sign_in, finish_sign_in, session_account, end_session,
  change_own_password, account_list, account_add, account_disable, account_password, account_roles TO suyuan_api;
