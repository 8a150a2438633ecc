-- What a leaf refers to is there, looked up once for all leaves of a statement: a foreign key looks for each leaf by itself, and
-- that was more than half of what storing them took (docs/decisions/0038). The other half of a key, that what a leaf refers to
-- is not deleted, stands on the tables referred to. (A log stays under its leaves by the keys of its stream heads and checkpoints.)
CREATE FUNCTION refuse_loose_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Scalar subqueries: each is a look into an index, however large the table is and whatever the planner thinks of it.
  IF EXISTS (SELECT FROM made WHERE
          (event IS NOT NULL AND (SELECT true FROM event AS one WHERE one.id = made.event) IS NULL)
       OR (sealed_window IS NOT NULL AND (SELECT true FROM sealed_window AS one WHERE one.id = made.sealed_window) IS NULL)
       OR (sealed_verdict IS NOT NULL AND (SELECT true FROM sealed_verdict AS one WHERE one.id = made.sealed_verdict) IS NULL))
    OR EXISTS (SELECT FROM (SELECT DISTINCT organisation FROM made) AS written
               WHERE (SELECT true FROM log WHERE log.organisation = written.organisation) IS NULL)
  THEN
    RAISE EXCEPTION 'a leaf refers to a log, an event, a window or a verdict that is not there'
      USING ERRCODE = 'foreign_key_violation', TABLE = 'leaf';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER a_leaf_refers_to_what_is_there AFTER INSERT ON leaf REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_loose_leaves();

CREATE FUNCTION refuse_deleting_from_under_a_leaf() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  held boolean;
BEGIN
  EXECUTE format('SELECT EXISTS (SELECT FROM leaf WHERE %I = $1)', TG_TABLE_NAME) INTO held USING OLD.id;
  IF held THEN
    RAISE EXCEPTION 'a leaf refers to this row of %', TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation', TABLE = 'leaf';
  END IF;
  RETURN NULL;
END
$$;
-- Their names come after those of the keys' own triggers: the key from `pending` waits for a sequencer that is turning the row
-- into a leaf, and only then is there a leaf to be seen.
CREATE TRIGGER stays_under_a_leaf AFTER DELETE OR UPDATE OF id ON event
  FOR EACH ROW EXECUTE FUNCTION refuse_deleting_from_under_a_leaf();
CREATE TRIGGER stays_under_a_leaf AFTER DELETE OR UPDATE OF id ON sealed_window
  FOR EACH ROW EXECUTE FUNCTION refuse_deleting_from_under_a_leaf();
CREATE TRIGGER stays_under_a_leaf AFTER DELETE OR UPDATE OF id ON sealed_verdict
  FOR EACH ROW EXECUTE FUNCTION refuse_deleting_from_under_a_leaf();

ALTER TABLE leaf
  DROP CONSTRAINT leaf_organisation_fkey,
  DROP CONSTRAINT leaf_event_fkey,
  DROP CONSTRAINT leaf_sealed_window_fkey,
  DROP CONSTRAINT leaf_sealed_verdict_fkey;

-- One log's rows in their order, however many wait for another; and which logs have any, without a look at each row.
CREATE INDEX pending_organisation ON pending (organisation, id);

-- A leaf is of an event, of a window, of a verdict or of none: an index need not hold those of another kind.
ALTER TABLE leaf DROP CONSTRAINT leaf_position_key, DROP CONSTRAINT leaf_event_key, DROP CONSTRAINT leaf_sealed_window_key;
CREATE UNIQUE INDEX leaf_position ON leaf (position) WHERE position IS NOT NULL;
CREATE UNIQUE INDEX leaf_event ON leaf (event) WHERE event IS NOT NULL;
CREATE UNIQUE INDEX leaf_sealed_window ON leaf (sealed_window) WHERE sealed_window IS NOT NULL;
