-- As it was known: what had been recorded, and what had been received, up to a moment.

-- The last position that had been given at `at`, and when that was; no row before the first. Positions rise with record_time, so
-- that a search by halves finds it and no second index is kept with every leaf.
CREATE FUNCTION known_at(at timestamptz) RETURNS TABLE ("position" bigint, record_time timestamptz)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  low bigint := (SELECT min(leaf.position) FROM leaf WHERE leaf.position IS NOT NULL);
  high bigint := (SELECT max(leaf.position) FROM leaf WHERE leaf.position IS NOT NULL);
  middle bigint;
  found record;
BEGIN
  IF low IS NULL OR (SELECT leaf.record_time FROM leaf WHERE leaf.position = low) > at THEN
    RETURN;
  END IF;
  WHILE low < high LOOP
    middle := low + (high - low + 1) / 2;
    SELECT leaf.position, leaf.record_time INTO found FROM leaf WHERE leaf.position >= middle ORDER BY leaf.position LIMIT 1;
    IF found.record_time <= at THEN
      low := found.position;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;
  RETURN QUERY SELECT leaf.position, leaf.record_time FROM leaf WHERE leaf.position <= low ORDER BY leaf.position DESC LIMIT 1;
END
$$;

-- When the event of that position, or the last before it, was recorded.
CREATE FUNCTION recorded_at(through bigint) RETURNS timestamptz
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT leaf.record_time FROM leaf WHERE leaf.position <= through ORDER BY leaf.position DESC LIMIT 1
$$;

-- Readings as `published_readings` and `asker_readings` show them, without those that were received later.
CREATE FUNCTION published_readings_known(wanted integer, from_time timestamptz, to_time timestamptz, at timestamptz)
  RETURNS TABLE ("time" timestamptz, value float8, flags smallint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT store.time, store.value, store.flags
  FROM reading_store AS store JOIN batch ON batch.id = store.batch_id
  WHERE store.series_id = wanted AND store.time >= from_time AND store.time < to_time AND batch.received_at <= at
    AND EXISTS (SELECT FROM series JOIN organisation ON organisation.id = series.organisation AND organisation.publishes WHERE series.id = wanted)
  ORDER BY store.time
  LIMIT 100000
$$;
CREATE FUNCTION asker_readings_known(wanted integer, from_time timestamptz, to_time timestamptz, at timestamptz)
  RETURNS TABLE ("time" timestamptz, value float8, flags smallint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT store.time, store.value, store.flags
  FROM reading_store AS store JOIN batch ON batch.id = store.batch_id
  WHERE store.series_id = wanted AND store.time >= from_time AND store.time < to_time AND batch.received_at <= at
    AND EXISTS (SELECT FROM asker_series WHERE asker_series.id = wanted AND asker_series.readable)
  ORDER BY store.time
  LIMIT 100000
$$;

REVOKE EXECUTE ON FUNCTION known_at, recorded_at, published_readings_known, asker_readings_known FROM PUBLIC;
GRANT EXECUTE ON FUNCTION known_at, recorded_at, published_readings_known TO suyuan_public, suyuan_api;
GRANT EXECUTE ON FUNCTION asker_readings_known TO suyuan_api;
