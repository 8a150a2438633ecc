-- What was erased of the use of a pesticide or fertiliser keeps the hash under its entry's commitment, and has no salt left: the
-- commitment still opens, and nobody who holds the table can try a guess against it. As erase_event_fields does it (0026).

-- 32 bytes: the leaf under the entry's commitment. Null: nothing was erased there, or it was before this migration.
ALTER TABLE input_use
  ADD COLUMN dose_hash bytea CHECK (length(dose_hash) = 32),
  ADD COLUMN name_hash bytea CHECK (length(name_hash) = 32),
  ADD CHECK (length(salts) = 144);

-- A field's leaf: JCS([base64(salt), name, value]), hashed as RFC 6962 does. For text PostgreSQL writes JSON as RFC 8785 does.
CREATE FUNCTION input_use_leaf(salt bytea, field text, said text) RETURNS bytea
  LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  SELECT sha256('\x00'::bytea || convert_to('["' || encode(salt, 'base64') || '","' || field || '",' || to_json(said)::text || ']', 'UTF8'))
$$;

-- Salts stand in the order of the tree: corrects, dose, id, interval_days, name, plot, registration, type, used_on. A row is never
-- edited; whoever may write over `dose` or `name` erases it.
CREATE FUNCTION input_use_erased() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  gone constant bytea := decode(repeat('00', 16), 'hex');
  salt bytea;
BEGIN
  IF NEW.dose <> OLD.dose THEN
    salt := substring(OLD.salts FROM 17 FOR 16);
    IF salt <> gone THEN
      NEW.dose_hash := input_use_leaf(salt, 'dose', OLD.dose);
      NEW.salts := overlay(NEW.salts PLACING gone FROM 17 FOR 16);
    END IF;
  END IF;
  IF NEW.name <> OLD.name THEN
    salt := substring(OLD.salts FROM 65 FOR 16);
    IF salt <> gone THEN
      NEW.name_hash := input_use_leaf(salt, 'name', OLD.name);
      NEW.salts := overlay(NEW.salts PLACING gone FROM 65 FOR 16);
    END IF;
  END IF;
  RETURN NEW;
END
$$;

-- What was erased before: its hash is not known any more, and what remains of it is the salt.
UPDATE input_use SET salts = overlay(salts PLACING decode(repeat('00', 16), 'hex') FROM 17 FOR 16) WHERE dose = '（已删除 / erased）';
UPDATE input_use SET salts = overlay(salts PLACING decode(repeat('00', 16), 'hex') FROM 65 FOR 16) WHERE name = '（已删除 / erased）';

CREATE TRIGGER what_is_erased_keeps_its_hash BEFORE UPDATE OF dose, name ON input_use
  FOR EACH ROW EXECUTE FUNCTION input_use_erased();
REVOKE EXECUTE ON FUNCTION input_use_leaf, input_use_erased FROM PUBLIC;
GRANT EXECUTE ON FUNCTION input_use_leaf TO suyuan_eraser;
