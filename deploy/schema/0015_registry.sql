-- What a device sends becomes one canonical unit per quantity, and the original can be had again: stored = sent * scale + offset.
ALTER TABLE series
  ADD COLUMN original_unit text,                                -- as it is sent; null: in `unit`
  ADD COLUMN scale    float8 NOT NULL DEFAULT 1 CHECK (scale <> 0 AND scale > '-Infinity' AND scale < 'Infinity'),
  ADD COLUMN "offset" float8 NOT NULL DEFAULT 0 CHECK ("offset" > '-Infinity' AND "offset" < 'Infinity'),
  ADD COLUMN minimum  float8 CHECK (minimum > '-Infinity'),     -- what the sensor can measure, in `unit`; null: what its quantity can be
  ADD COLUMN maximum  float8 CHECK (maximum < 'Infinity'),
  ADD CHECK (minimum <= maximum),
  ADD CONSTRAINT series_line CHECK (original_unit IS NOT NULL OR scale = 1 AND "offset" = 0);
GRANT UPDATE (quantity, unit, original_unit, scale, "offset", minimum, maximum) ON series TO suyuan_ingest;

-- Whose number external_id is: ours (what stands in topics), a DevEUI, an IMEI, a Sparkplug node or device.
ALTER TABLE device
  ADD COLUMN profile     text CHECK (profile ~ '^[a-z0-9][a-z0-9._/-]{0,62}$'),   -- how its payload is read, where it is no SenML
  ADD COLUMN independent boolean,                               -- of the control system that it watches; null: nobody said
  ADD CHECK (scheme ~ '^[a-z][a-z0-9_]{0,30}$'),
  ADD CONSTRAINT device_external_id CHECK (CASE scheme
    WHEN 'lorawan' THEN external_id ~ '^[0-9a-f]{16}$'
    WHEN 'teltonika' THEN external_id ~ '^[0-9]{15}$'
    WHEN 'sparkplug' THEN external_id ~ '^[^/+#]+/[^/+#]+(/[^/+#]+)?$'
    ELSE length(external_id) BETWEEN 1 AND 255 END);

-- A room of a building, a compartment of a vehicle.
ALTER TABLE place ADD COLUMN parent text REFERENCES place CHECK (parent <> id);
CREATE INDEX place_parent ON place (parent);

-- What a worker holds of the registry in memory is as old as the number it last saw here. A row and not a sequence: a number that
-- is seen before its rows are would let a worker believe that it had them. Once per transaction, however much is registered in it.
CREATE TABLE registry_version (
  the_one boolean PRIMARY KEY DEFAULT true CHECK (the_one),
  version bigint NOT NULL,
  raised_by xid8
);
INSERT INTO registry_version (version) VALUES (1);
GRANT SELECT ON registry_version TO suyuan_ingest, suyuan_jobs;

CREATE FUNCTION raise_registry_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  UPDATE registry_version SET version = version + 1, raised_by = pg_current_xact_id()
  WHERE raised_by IS DISTINCT FROM pg_current_xact_id();
  RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION raise_registry_version FROM PUBLIC;
CREATE TRIGGER version AFTER INSERT OR UPDATE OR DELETE ON organisation FOR EACH STATEMENT EXECUTE FUNCTION raise_registry_version();
CREATE TRIGGER version AFTER INSERT OR UPDATE OR DELETE ON device FOR EACH STATEMENT EXECUTE FUNCTION raise_registry_version();
CREATE TRIGGER version AFTER INSERT OR UPDATE OR DELETE ON series FOR EACH STATEMENT EXECUTE FUNCTION raise_registry_version();
