-- Who outside is asked to vouch for which log, and how it goes: the alarm of whoever is away. One row a log and party,
-- written over; what was vouched for is kept elsewhere (cosignature; anchor entries of kind timestamp).
ALTER TABLE organisation ADD CONSTRAINT organisation_is_not_the_policy CHECK (id <> 'policy');

CREATE TABLE attestation (
  kind          text   NOT NULL CHECK (kind IN ('witness', 'timestamp')),
  party         text   NOT NULL CHECK (length(party) BETWEEN 1 AND 500),  -- the witness's name; the authority's address
  organisation  text   NOT NULL REFERENCES log,
  tree_size     bigint,                     -- the newest that was vouched for
  attested_at   timestamptz,                -- as the party's own signature says
  asked_at      timestamptz NOT NULL,
  failing_since timestamptz,
  failure       text   CHECK (length(failure) BETWEEN 1 AND 500),
  PRIMARY KEY (kind, party, organisation),
  CHECK ((tree_size IS NULL) = (attested_at IS NULL)),
  CHECK ((failing_since IS NULL) = (failure IS NULL))
);

-- Both notes of a log that a witness proved to be behind or forked. Never changed.
CREATE TABLE contradiction (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation text   NOT NULL REFERENCES log,
  witness      text   NOT NULL,
  found_at     timestamptz NOT NULL,
  reason       text   NOT NULL,
  ours         text   NOT NULL,             -- the signed note that was shown to the witness
  theirs       text   NOT NULL              -- the one it showed, signed by the same log
);

GRANT SELECT, INSERT, UPDATE, DELETE ON attestation TO suyuan_sequencer;
GRANT SELECT, INSERT ON contradiction TO suyuan_sequencer;
GRANT SELECT ON attestation, contradiction TO suyuan_jobs, suyuan_api;
