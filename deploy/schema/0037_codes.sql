-- Codes of others in every question: what a code was bound to resolves for ever.

-- What a code means at `at`; where that is null, now, or else what it meant last: a label that was taken out of use still
-- leads to its goods. One answer, for any asker; what they then see of the goods is for the rest to say.
CREATE FUNCTION resolve_code(asked text, at timestamptz)
  RETURNS TABLE (entity text, scheme text, organisation text, since timestamptz, until timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT bound.entity, bound.scheme, bound.organisation, lower(bound.valid), upper(bound.valid)
  FROM identifier_alias AS bound
  WHERE bound.key IN (alias_key('plate', asked), alias_key('other', asked)) AND bound.key = alias_key(bound.scheme, asked)
    AND (at IS NULL OR bound.valid @> at)
  ORDER BY upper_inf(bound.valid) DESC, upper(bound.valid) DESC, bound.id LIMIT 1
$$;

-- The same for everybody: of goods that are published, and no plates, which lead to people.
CREATE FUNCTION published_code(asked text, at timestamptz)
  RETURNS TABLE (entity text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT bound.entity
  FROM identifier_alias AS bound
  WHERE bound.key = alias_key('other', asked) AND bound.scheme <> 'plate' AND (at IS NULL OR bound.valid @> at)
    AND EXISTS (SELECT FROM published_mention AS mention WHERE mention.identifier IN (bound.entity, split_part(bound.entity, '/21/', 1)))
  ORDER BY upper_inf(bound.valid) DESC, upper(bound.valid) DESC, bound.id LIMIT 1
$$;
REVOKE EXECUTE ON FUNCTION resolve_code, published_code FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve_code TO suyuan_api;
GRANT EXECUTE ON FUNCTION published_code TO suyuan_public, suyuan_api;
