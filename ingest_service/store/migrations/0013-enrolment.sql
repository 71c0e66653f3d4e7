-- How a gateway comes by its certificate, keeps it and loses it.
-- depends: 0011-receivers-and-retention

-- One-time codes; of a code only its digest. A new one voids the older ones of its gateway.
CREATE TABLE enrolment_code (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     bytea NOT NULL UNIQUE,
    gateway_id text NOT NULL REFERENCES gateway,
    decided_by text NOT NULL,
    made_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    voided_at  timestamptz,
    used_at    timestamptz
);
CREATE UNIQUE INDEX ON enrolment_code (gateway_id) WHERE used_at IS NULL AND voided_at IS NULL;

-- Every certificate that was issued. A renewal is one generation above what it renews, a new
-- enrolment above all before it. None renews once a later one was issued for another than itself.
CREATE TABLE gateway_certificate (
    serial       text PRIMARY KEY,  -- hexadecimal
    gateway_id   text NOT NULL REFERENCES gateway,
    generation   integer NOT NULL,
    code_id      bigint REFERENCES enrolment_code,
    renewed_from text REFERENCES gateway_certificate,
    key_digest   bytea NOT NULL UNIQUE,  -- a key of its own for each
    fingerprint  bytea NOT NULL UNIQUE,
    certificate  bytea NOT NULL,
    issued_at    timestamptz NOT NULL,
    not_after    timestamptz NOT NULL,
    revoked_at   timestamptz,
    revoked_by   text,
    revoked_why  text,
    CHECK ((code_id IS NULL) <> (renewed_from IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoked_why IS NULL))
);
CREATE INDEX ON gateway_certificate (gateway_id, generation);
CREATE INDEX ON gateway_certificate (revoked_at) WHERE revoked_at IS NOT NULL;

-- What was asked and what came of it; append-only, and never a code.
CREATE TABLE enrolment_event (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    event      text NOT NULL CHECK (event IN ('code', 'enrol', 'renew', 'revoke')),
    cause      text,  -- why it was refused
    gateway_id text,
    serial     text,
    decided_by text,
    trace_id   text
);
CREATE INDEX ON enrolment_event (gateway_id, at);

-- The list that the broker is given, as the authority signed it last.
CREATE TABLE revocation_list (
    is_only   boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    number    bigint NOT NULL,
    signed_at timestamptz NOT NULL,
    content   text NOT NULL
);

GRANT SELECT ON gateway TO hemvital_enrolment;
GRANT SELECT, INSERT, UPDATE (voided_at, used_at) ON enrolment_code TO hemvital_enrolment;
GRANT SELECT, INSERT, UPDATE (revoked_at, revoked_by, revoked_why) ON gateway_certificate
   TO hemvital_enrolment;
GRANT SELECT, INSERT ON enrolment_event TO hemvital_enrolment;
GRANT SELECT, INSERT, UPDATE ON revocation_list TO hemvital_enrolment;
-- Beside the broker: what to refuse and whom to cut off, nothing else.
GRANT SELECT ON revocation_list TO hemvital_revocations;
GRANT SELECT (serial, gateway_id, not_after, revoked_at) ON gateway_certificate
   TO hemvital_revocations;
