-- What was explained stays explained however often it is found again, until it is worse than what was explained.

-- Further off by more than a tenth of what it was off by, or of a graver class. `explained`: the version that was, as it is kept.
CREATE FUNCTION finding_grew(explained jsonb, severity text, body jsonb) RETURNS boolean
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce(
    array_position(ARRAY['low', 'medium', 'high'], severity) > array_position(ARRAY['low', 'medium', 'high'], explained ->> 'severity')
    OR (body ->> 'said')::float8 - (body ->> 'known')::float8
       > ((explained #>> '{body,said}')::float8 - (explained #>> '{body,known}')::float8) * 1.1 + 1e-6, false)
$$;

DROP FUNCTION findings_seen(jsonb, timestamptz);
-- `events`: those that the asker may see, in the order of happening; `hidden`: how many others there are. `words`: what was said of it.
-- `grown`: it was explained, and is further off now than in the version that was explained; then it stands again.
CREATE FUNCTION findings_seen(filters jsonb, moment timestamptz)
  RETURNS TABLE (id text, kind text, subject text, version integer, state text, severity text, lots text[], product_zh text, product_en text,
    places jsonb, organisations jsonb, happened_at timestamptz, body jsonb, opened_at timestamptz, changed_at timestamptz, events jsonb, hidden bigint,
    words jsonb, grown boolean, total bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH seen AS MATERIALIZED (SELECT seen.id FROM findings_of_asker(filters ->> 'id', moment) AS seen),
  kept AS (
    SELECT finding.*, last.says, last.grown, count(*) OVER () AS total
    FROM seen JOIN finding USING (id)
    LEFT JOIN LATERAL (
      SELECT word.says, finding.state = 'open' AND word.says = 'explained' AND finding_grew(kept.body, finding.severity, finding.body) AS grown
      FROM finding_word AS word LEFT JOIN finding_version AS kept ON kept.finding = word.finding AND kept.version = word.version
      WHERE word.finding = finding.id ORDER BY word.id DESC LIMIT 1) AS last ON true
    WHERE (filters ->> 'finding_kind' IS NULL OR finding.kind = filters ->> 'finding_kind')
      AND (filters ->> 'id' IS NOT NULL OR CASE coalesce(filters ->> 'standing', 'standing')
             WHEN 'standing' THEN finding.state = 'open' AND (last.says IS DISTINCT FROM 'explained' OR last.grown)
             WHEN 'look_into' THEN finding.state = 'open' AND last.says = 'look_into'
             WHEN 'explained' THEN last.says = 'explained' AND NOT last.grown
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
         coalesce(page.grown, false), page.total
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

DROP FUNCTION say_of_finding(text, text, text, timestamptz);
-- Only an official says something of a finding, and only of one that they see; `seen_version`: the one that
-- they had before them; what came after it was not explained.
CREATE FUNCTION say_of_finding(wanted text, word text, told text, moment timestamptz, seen_version integer) RETURNS boolean
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH said AS (
    INSERT INTO finding_word (finding, version, account, says, comment, at)
    SELECT finding.id, CASE WHEN seen_version BETWEEN 1 AND finding.version THEN seen_version ELSE finding.version END, current_account(), word, told, moment
    FROM findings_of_asker(wanted, moment) AS seen JOIN finding ON finding.id = seen.id JOIN user_account AS account ON account.id = current_account()
    WHERE wanted IS NOT NULL AND account.roles = ARRAY['official'] AND account.disabled_at IS NULL
    RETURNING 1)
  SELECT EXISTS (SELECT FROM said)
$$;

REVOKE EXECUTE ON FUNCTION finding_grew, findings_seen, say_of_finding FROM PUBLIC;
GRANT EXECUTE ON FUNCTION findings_seen, say_of_finding TO suyuan_api;
