-- Averages that were issued, and the protocols that they were made by.
-- depends: 0017-canary-and-incidents

-- A document as it was when the first average was made by it: what was issued can be made anew
-- whatever a region's own files say later.
CREATE TABLE protocol (
    id        text NOT NULL,
    version   integer NOT NULL CHECK (version > 0),
    document  jsonb NOT NULL,
    first_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (id, version)
);

-- id is its observation's, and stands for its record in identity and observation: no device_record
-- has it. zone is the home's when it was first made; digest tells whether what it rests on changed.
CREATE TABLE average (
    id               uuid PRIMARY KEY,
    patient_id       uuid NOT NULL REFERENCES patient,
    protocol_id      text NOT NULL,
    protocol_version integer NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('course', 'rolling')),
    first_day        date NOT NULL,
    last_day         date NOT NULL CHECK (last_day >= first_day),
    zone             text NOT NULL,
    version          integer NOT NULL,
    digest           text NOT NULL,
    issued_at        timestamptz NOT NULL,
    FOREIGN KEY (protocol_id, protocol_version) REFERENCES protocol
);
CREATE INDEX ON average (patient_id, last_day);

GRANT SELECT, INSERT ON protocol, average TO hemvital_ingest;
GRANT UPDATE (version, digest, issued_at) ON average TO hemvital_ingest;
