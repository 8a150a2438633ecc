-- A small batch's readings are inserted by the statement that closes it, which alone is the whole transaction: so it has to
-- see for itself that none was lost on the way.
CREATE FUNCTION all_inserted(got bigint, want bigint) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF got <> want THEN
    RAISE EXCEPTION 'got % rows into reading_store, want %', got, want USING ERRCODE = 'SYROW';
  END IF;
  RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION all_inserted FROM PUBLIC;
GRANT EXECUTE ON FUNCTION all_inserted TO suyuan_ingest;
