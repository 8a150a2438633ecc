-- The account of a batch as arrays in one row: a row per batch and device cost more than the reading that it counts.
-- `account` stays what it was to who reads it, in records per batch and device.
CREATE TABLE batch_account (
  batch_id    bigint    PRIMARY KEY REFERENCES batch,
  device_ids  integer[] NOT NULL,           -- ascending; 0: the device could not be known
  received    integer[] NOT NULL,           -- counted at decoding, before anything is judged
  stored      integer[] NOT NULL,
  duplicate   integer[] NOT NULL,
  conflict    integer[] NOT NULL,
  quarantined integer[] NOT NULL,
  CHECK (cardinality(device_ids) = ALL (ARRAY[cardinality(received), cardinality(stored), cardinality(duplicate),
                                              cardinality(conflict), cardinality(quarantined)]))
);
INSERT INTO batch_account
SELECT batch_id, array_agg(device_id ORDER BY device_id), array_agg(received ORDER BY device_id), array_agg(stored ORDER BY device_id),
       array_agg(duplicate ORDER BY device_id), array_agg(conflict ORDER BY device_id), array_agg(quarantined ORDER BY device_id)
FROM account GROUP BY batch_id;
DROP TABLE account;
CREATE VIEW account WITH (security_invoker = true) AS
  SELECT batch_id, counted.*
  FROM batch_account, unnest(device_ids, received, stored, duplicate, conflict, quarantined)
    AS counted (device_id, received, stored, duplicate, conflict, quarantined);
GRANT SELECT, INSERT ON batch_account TO suyuan_ingest;
GRANT SELECT ON batch_account TO suyuan_jobs;
GRANT SELECT ON account TO suyuan_ingest, suyuan_jobs;

-- A worker draws its batches' numbers ahead, so that the readings are the first rows of their transaction.
GRANT USAGE ON SEQUENCE batch_id_seq TO suyuan_ingest;
