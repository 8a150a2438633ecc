-- What does not add up: the mass balance of lots, plots and certificates, scans of codes, values that were copied.

-- Figures of products and plots that the rules need, each with where it is from. What is not here is not guessed: the rule that
-- needs it cannot tell.
CREATE TABLE figure (
  subject      text NOT NULL,               -- a product's id, or a place's
  name         text NOT NULL CHECK (name IN ('mass_tolerance', 'moisture_gain', 'yield_most', 'cull_least', 'yield_kg_per_mu', 'season_starts', 'area_m2')),
  organisation text NOT NULL REFERENCES organisation,
  value        float8 NOT NULL CHECK (value >= 0 AND value < 'infinity'),
  source       text,
  verified     boolean NOT NULL,            -- somebody read the number in its source
  PRIMARY KEY (subject, name),
  CHECK (NOT verified OR source ~ '\S')
);
ALTER TABLE figure ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON figure TO suyuan_api USING (organisation = current_organisation());
CREATE POLICY work ON figure TO suyuan_ingest, suyuan_jobs USING (true) WITH CHECK (true);
GRANT SELECT ON figure TO suyuan_api, suyuan_jobs;
GRANT SELECT, INSERT, UPDATE, DELETE ON figure TO suyuan_ingest;

-- How much of a lot was made, by which event, where: a projection. `run` null: harvested, or made of nothing that was told.
CREATE TABLE lot_making (
  lot          text NOT NULL,
  event        bigint NOT NULL REFERENCES event,
  organisation text NOT NULL,
  made_at      timestamptz NOT NULL,
  place        text,
  run          text,
  boxes        float8,                      -- where it is counted
  kg           float8                       -- null: not known
);
CREATE INDEX lot_making_lot ON lot_making (lot);
CREATE INDEX lot_making_made_at ON lot_making (made_at);
CREATE INDEX lot_making_place ON lot_making (place) WHERE run IS NULL;
-- Kinds that could not be judged of a lot, for want of a quantity, a figure or a place's position: a projection.
CREATE TABLE lot_unjudged (
  lot   text NOT NULL,
  kind  text NOT NULL,
  PRIMARY KEY (lot, kind)
);
GRANT SELECT, INSERT, DELETE ON lot_making, lot_unjudged TO suyuan_jobs;

-- A finding accuses nobody. `id`: a digest of kind and subject, so that it is the same one whenever it is looked for. `state`
-- closed: what was said since explains it, or was declared wrong. It is shown from `shown_from` on, since what is told late, in
-- pieces, does not add up for a while.
CREATE TABLE finding (
  id            text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{24}$'),
  kind          text NOT NULL CHECK (kind IN ('outputs_over_inputs', 'no_cull', 'moved_before_made', 'more_than_made', 'two_places',
                                              'harvest_over_ceiling', 'certificates_over_lot', 'scanned_too_often', 'copied_values')),
  subject       text NOT NULL,
  version       integer NOT NULL CHECK (version >= 1),
  state         text NOT NULL CHECK (state IN ('open', 'closed')),
  severity      text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
  lots          text[] NOT NULL,
  places        text[] NOT NULL,
  organisations text[] NOT NULL,            -- whose record shows it
  events        bigint[] NOT NULL,
  at            timestamptz NOT NULL,       -- when it happened
  body          jsonb NOT NULL,             -- said, known, uom, figures
  opened_at     timestamptz NOT NULL,
  shown_from    timestamptz NOT NULL,
  changed_at    timestamptz NOT NULL
);
CREATE INDEX finding_lots ON finding USING gin (lots);
CREATE INDEX finding_organisations ON finding USING gin (organisations);
CREATE INDEX finding_at ON finding (at);
CREATE TABLE finding_version (
  finding    text NOT NULL,
  version    integer NOT NULL,
  state      text NOT NULL,
  body       jsonb NOT NULL,                -- the whole row as it stood, events by their number
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (finding, version)
);
ALTER TABLE finding ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON finding TO suyuan_api USING (organisations @> ARRAY[current_organisation()]);
CREATE POLICY work ON finding TO suyuan_jobs USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON finding TO suyuan_jobs;
GRANT SELECT, INSERT ON finding_version TO suyuan_jobs;

-- Who looks into it and what they found: by name, with the version they had before them, for ever.
CREATE TABLE finding_word (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  finding  text NOT NULL REFERENCES finding,
  version  integer NOT NULL,
  account  uuid NOT NULL REFERENCES user_account,
  says     text NOT NULL CHECK (says IN ('look_into', 'explained')),
  comment  text NOT NULL CHECK (comment ~ '\S' AND length(comment) <= 2000),
  at       timestamptz NOT NULL
);
CREATE INDEX finding_word_finding ON finding_word (finding);

-- Scans of codes by shoppers. No address is kept: `visitor` and `network` are cut from a keyed hash whose key is another one each
-- day, and are gone once the day is counted. `region`: a county, where the installation is told one; else empty.
CREATE TABLE scan_visit (
  code     text NOT NULL,
  day      date NOT NULL,
  visitor  bytea NOT NULL CHECK (length(visitor) <= 8),
  network  bytea NOT NULL CHECK (length(network) <= 4),
  region   text NOT NULL CHECK (region = '' OR region ~ '^[0-9]{2,6}$'),
  scans    integer NOT NULL CHECK (scans > 0),
  PRIMARY KEY (code, day, visitor)
);
CREATE INDEX scan_visit_day ON scan_visit (day);
CREATE TABLE scan_day (
  code     text NOT NULL,
  day      date NOT NULL,
  scans    bigint NOT NULL,
  visitors integer NOT NULL,
  networks integer NOT NULL,
  regions  text[] NOT NULL,
  PRIMARY KEY (code, day)
);
GRANT SELECT, INSERT, UPDATE ON scan_day TO suyuan_jobs;
GRANT SELECT, DELETE ON scan_visit TO suyuan_jobs;

-- Under which a day's visitors are hashed: random, and thrown away with them. No role reads the table.
CREATE TABLE scan_key (day date PRIMARY KEY, key bytea NOT NULL CHECK (length(key) = 32));
GRANT SELECT (day), DELETE ON scan_key TO suyuan_jobs;
CREATE FUNCTION key_of_scans(wanted date) RETURNS bytea
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO scan_key (day, key) VALUES (wanted, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
  ON CONFLICT (day) DO UPDATE SET day = EXCLUDED.day RETURNING key
$$;

-- The public role adds to it and reads nothing back. Of one code and day at most so many visitors are told apart; the others count
-- as one, so that nobody fills the table.
CREATE FUNCTION count_scans(codes text[], day date, visitors bytea[], networks bytea[], regions text[], counts integer[]) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO scan_visit AS kept (code, day, visitor, network, region, scans)
  SELECT seen.code, count_scans.day, seen.visitor, (array_agg(seen.network))[1], (array_agg(seen.region))[1], sum(seen.scans)
  FROM (SELECT sent.code, sent.network, sent.region, sent.scans,
               CASE WHEN (SELECT count(*) FROM (SELECT FROM scan_visit AS there WHERE there.code = sent.code AND there.day = count_scans.day LIMIT 5000) AS seen_before) < 5000
                      OR EXISTS (SELECT FROM scan_visit AS there WHERE there.code = sent.code AND there.day = count_scans.day AND there.visitor = sent.visitor)
                    THEN sent.visitor ELSE '\x'::bytea END AS visitor
        FROM unnest(codes, visitors, networks, regions, counts) AS sent (code, visitor, network, region, scans)
        WHERE length(sent.code) <= 300 AND sent.scans BETWEEN 1 AND 1000000) AS seen
  GROUP BY seen.code, seen.visitor ORDER BY seen.code, seen.visitor
  ON CONFLICT (code, day, visitor) DO UPDATE SET scans = least(kept.scans::bigint + EXCLUDED.scans, 2000000000)::integer
$$;

-- Fingerprints of what sensors measured: a hash of some readings in a row, by which the same row is found elsewhere.
CREATE TABLE reading_print (
  series_id integer     NOT NULL,
  time      timestamptz NOT NULL,           -- of the first of those readings
  hash      bigint      NOT NULL,
  PRIMARY KEY (series_id, time)
);
CREATE INDEX reading_print_hash ON reading_print (hash);
CREATE INDEX reading_print_time ON reading_print (time);
GRANT SELECT, INSERT, UPDATE, DELETE ON reading_print TO suyuan_jobs;
-- What a certificate promises, and nothing of who is to be called.
GRANT SELECT (id, number, lot, kind, organisation, quantity_kg, status, issued_at, event_id) ON certificate TO suyuan_jobs;
CREATE POLICY work ON certificate TO suyuan_jobs USING (true);

-- How far each rule that is no projection of events has looked.
CREATE TABLE radar_look (
  what      text PRIMARY KEY,
  looked_at timestamptz NOT NULL,
  position  bigint NOT NULL DEFAULT 0,
  judged    integer NOT NULL DEFAULT 0,
  unjudged  integer NOT NULL DEFAULT 0
);
GRANT SELECT, INSERT, UPDATE ON radar_look TO suyuan_jobs;

-- What the asker may see of it -------------------------------------------------------------------------------------------------------

-- An official: what concerns a lot of their area and department, or happened in it; an organisation: what its own record shows, or
-- is about a lot that it made. `id` null: all.
CREATE FUNCTION findings_of_asker(wanted text, moment timestamptz) RETURNS TABLE (id text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  IF EXISTS (SELECT FROM asker_scope()) THEN
    RETURN QUERY
    WITH scope AS MATERIALIZED (SELECT * FROM asker_scope()),
    shown AS MATERIALIZED (SELECT finding.id, finding.kind, finding.lots, finding.places, finding.organisations FROM finding
                           WHERE finding.shown_from <= moment AND (wanted IS NULL OR finding.id = wanted)),
    own AS MATERIALIZED (SELECT official.lot FROM official_lots(ARRAY(SELECT DISTINCT lot FROM shown, unnest(shown.lots) AS lot)) AS official)
    SELECT shown.id FROM scope CROSS JOIN shown
    WHERE EXISTS (SELECT FROM own WHERE own.lot = ANY (shown.lots))
       OR (cardinality(shown.lots) = 0 OR (shown.kind = 'harvest_over_ceiling' AND scope.agriculture))
          AND (EXISTS (SELECT FROM ground WHERE ground.id = ANY (shown.places) AND lies_in(ground.region, scope.regions))
               OR EXISTS (SELECT FROM seat WHERE seat.id = ANY (shown.organisations) AND lies_in(seat.region, scope.regions)));
  ELSIF current_organisation() IS NOT NULL THEN
    RETURN QUERY
    SELECT finding.id FROM finding
    WHERE finding.shown_from <= moment AND (wanted IS NULL OR finding.id = wanted)
      AND (finding.organisations @> ARRAY[current_organisation()]
           OR EXISTS (SELECT FROM lot_making AS making WHERE making.lot = ANY (finding.lots) AND making.organisation = current_organisation()));
  END IF;
END
$$;

-- `events`: those that the asker may see, in the order of happening; `hidden`: how many others there are. `words`: what was said of it.
CREATE FUNCTION findings_seen(filters jsonb, moment timestamptz)
  RETURNS TABLE (id text, kind text, subject text, version integer, state text, severity text, lots text[], product_zh text, product_en text,
    places jsonb, organisations jsonb, happened_at timestamptz, body jsonb, opened_at timestamptz, changed_at timestamptz, events jsonb, hidden bigint,
    words jsonb, total bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH seen AS MATERIALIZED (SELECT seen.id FROM findings_of_asker(filters ->> 'id', moment) AS seen),
  kept AS (
    SELECT finding.*, last.says, count(*) OVER () AS total
    FROM seen JOIN finding USING (id)
    LEFT JOIN LATERAL (SELECT word.says FROM finding_word AS word WHERE word.finding = finding.id ORDER BY word.id DESC LIMIT 1) AS last ON true
    WHERE (filters ->> 'finding_kind' IS NULL OR finding.kind = filters ->> 'finding_kind')
      AND (filters ->> 'id' IS NOT NULL OR CASE coalesce(filters ->> 'standing', 'standing')
             WHEN 'standing' THEN finding.state = 'open' AND last.says IS DISTINCT FROM 'explained'
             WHEN 'look_into' THEN finding.state = 'open' AND last.says = 'look_into'
             WHEN 'explained' THEN last.says = 'explained'
             WHEN 'closed' THEN finding.state = 'closed' ELSE true END)
      AND (filters ->> 'lot' IS NULL OR EXISTS (SELECT FROM unnest(finding.lots) AS lot (uri) WHERE lot.uri = filters ->> 'lot' OR lot_number(lot.uri) = filters ->> 'lot'))
      AND (filters ->> 'from' IS NULL OR finding.at >= (filters ->> 'from')::timestamptz)
      AND (filters ->> 'to' IS NULL OR finding.at < (filters ->> 'to')::timestamptz)
      AND (filters ->> 'region' IS NULL
           OR EXISTS (SELECT FROM ground WHERE ground.id IN (SELECT unnest(finding.places) UNION SELECT split_part(unnest(finding.places), '/254/', 1))
                        AND starts_with(ground.region, filters ->> 'region'))
           OR EXISTS (SELECT FROM lot_origin AS origin JOIN ground ON ground.id = origin.place
                      WHERE origin.lot = ANY (finding.lots) AND starts_with(ground.region, filters ->> 'region'))
           OR EXISTS (SELECT FROM seat WHERE seat.id = ANY (finding.organisations) AND starts_with(seat.region, filters ->> 'region')))
      AND (filters ->> 'text' IS NULL OR position(lower(filters ->> 'text') IN lower(concat_ws(' ', finding.subject, array_to_string(finding.lots, ' '),
            array_to_string(finding.places, ' '), array_to_string(finding.organisations, ' '),
            (SELECT string_agg(seat.name_zh || ' ' || seat.name_en, ' ') FROM seat WHERE seat.id = ANY (finding.organisations))))) > 0)),
  page AS MATERIALIZED (
    SELECT kept.* FROM kept ORDER BY kept.at DESC, kept.id
    LIMIT coalesce((filters ->> 'limit')::integer, 50) OFFSET coalesce((filters ->> 'offset')::integer, 0))
  SELECT page.id, page.kind, page.subject, page.version, page.state, page.severity, page.lots, product.name_zh, product.name_en,
         (SELECT coalesce(jsonb_agg(jsonb_build_object('id', place.id, 'zh', ground.name_zh, 'en', ground.name_en, 'region', ground.region) ORDER BY place.number), '[]')
          FROM unnest(page.places) WITH ORDINALITY AS place (id, number)
          LEFT JOIN LATERAL (SELECT each.* FROM ground AS each WHERE each.id IN (place.id, split_part(place.id, '/254/', 1)) ORDER BY each.id = place.id DESC LIMIT 1) AS ground ON true),
         (SELECT coalesce(jsonb_agg(jsonb_build_object('id', seat.id, 'zh', seat.name_zh, 'en', seat.name_en) ORDER BY seat.id), '[]')
          FROM seat WHERE seat.id = ANY (page.organisations)),
         page.at, page.body, page.opened_at, page.changed_at,
         coalesce(told.events, '[]'), cardinality(page.events) - coalesce(told.n, 0),
         (SELECT coalesce(jsonb_agg(jsonb_build_object('says', word.says, 'comment', word.comment, 'version', word.version, 'at', word.at,
                    'by', account.name, 'department', account.department) ORDER BY word.id), '[]')
          FROM finding_word AS word JOIN user_account AS account ON account.id = word.account
          WHERE word.finding = page.id AND EXISTS (SELECT FROM asker_scope())),
         page.total
  FROM page
  LEFT JOIN LATERAL (SELECT product.name_zh, product.name_en FROM product, unnest(product.classes) AS class (uri), unnest(page.lots) WITH ORDINALITY AS lot (id, number)
    WHERE lot.id = uri OR starts_with(lot.id, uri || '/') OR starts_with(lot.id, uri || '.') ORDER BY lot.number, length(uri) DESC LIMIT 1) AS product ON true
  LEFT JOIN LATERAL (
    SELECT count(*) AS n, jsonb_agg(jsonb_build_object('event_id', event.event_id, 'type', event.type, 'at', event.event_time,
             'step', regexp_replace(event.biz_step, '^.*[:-]', ''), 'organisation', event.organisation, 'zh', seat.name_zh, 'en', seat.name_en,
             'position', event.position, 'recorded_at', event.record_time) ORDER BY event.event_time, event.id) AS events
    FROM asker_event AS event LEFT JOIN seat ON seat.id = event.organisation WHERE event.id = ANY (page.events)) AS told ON true
  ORDER BY page.at DESC, page.id
$$;

-- Of which kinds how much could be judged in the asker's area of what was made or stood somewhere in the last 60 days, and of how
-- much it could not.
CREATE FUNCTION findings_coverage(moment timestamptz) RETURNS TABLE (kind text, judged bigint, unjudged bigint)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH lately AS MATERIALIZED (
    SELECT making.lot FROM lot_making AS making WHERE making.made_at >= moment - INTERVAL '60 days' AND making.made_at <= moment
    UNION
    SELECT mute.lot FROM lot_unjudged AS mute
    WHERE EXISTS (SELECT FROM presence WHERE presence.lot = mute.lot AND presence.valid && tstzrange(moment - INTERVAL '60 days', moment))),
  own AS MATERIALIZED (
    SELECT official.lot FROM official_lots(ARRAY(SELECT lately.lot FROM lately)) AS official WHERE EXISTS (SELECT FROM asker_scope())
    UNION
    SELECT lately.lot FROM lately WHERE EXISTS (SELECT FROM lot_making AS making WHERE making.lot = lately.lot
                                                AND making.organisation = current_organisation())),
  kinds AS (SELECT unnest(ARRAY['outputs_over_inputs', 'no_cull', 'moved_before_made', 'more_than_made', 'two_places']) AS kind)
  SELECT kinds.kind, count(*) FILTER (WHERE mute.lot IS NULL), count(*) FILTER (WHERE mute.lot IS NOT NULL)
  FROM kinds CROSS JOIN own LEFT JOIN lot_unjudged AS mute ON mute.lot = own.lot AND mute.kind = kinds.kind
  WHERE kinds.kind NOT IN ('outputs_over_inputs', 'no_cull')
     OR EXISTS (SELECT FROM lot_making AS making WHERE making.lot = own.lot AND making.run IS NOT NULL)
  GROUP BY kinds.kind
  UNION ALL
  SELECT look.what, look.judged, look.unjudged FROM radar_look AS look
  WHERE look.what IN ('harvest_over_ceiling', 'certificates_over_lot', 'scanned_too_often', 'copied_values') AND EXISTS (SELECT FROM asker_scope());
END
$$;

-- Only an official says something of a finding, and only of one that they see; the version is the one that stands.
CREATE FUNCTION say_of_finding(wanted text, word text, told text, moment timestamptz) RETURNS boolean
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH said AS (
    INSERT INTO finding_word (finding, version, account, says, comment, at)
    SELECT finding.id, finding.version, current_account(), word, told, moment
    FROM findings_of_asker(wanted, moment) AS seen JOIN finding ON finding.id = seen.id JOIN user_account AS account ON account.id = current_account()
    WHERE wanted IS NOT NULL AND account.roles = ARRAY['official'] AND account.disabled_at IS NULL
    RETURNING 1)
  SELECT EXISTS (SELECT FROM said)
$$;

REVOKE EXECUTE ON FUNCTION count_scans, key_of_scans, findings_of_asker, findings_seen, findings_coverage, say_of_finding FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_scans, key_of_scans TO suyuan_public, suyuan_api;
GRANT EXECUTE ON FUNCTION findings_seen, findings_coverage, say_of_finding TO suyuan_api;
