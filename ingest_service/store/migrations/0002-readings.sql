-- What gateways delivered, what became of it, and the observations.
-- depends: 0001-people-and-devices

-- Every number a gateway ever sent, once: the same number with another digest is a conflict. The
-- digest is empty where the message could not be taken apart: then nothing can be compared.
CREATE TABLE delivery (
    gateway_id  text NOT NULL,
    epoch       uuid NOT NULL,
    number      bigint NOT NULL CHECK (number > 0),
    digest      bytea NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN
                ('stored', 'duplicate', 'quarantined', 'void', 'time_correction')),
    record_id   uuid,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (gateway_id, epoch, number)
);

-- The same as ranges: high-water mark upper(received) - 1, holes
-- int8multirange(int8range(1, upper(received))) - received; hole_since when there is any.
CREATE TABLE gateway_epoch (
    gateway_id   text NOT NULL,
    epoch        uuid NOT NULL,
    received     int8multirange NOT NULL,
    first_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    hole_since   timestamptz,
    asked_at     timestamptz,
    PRIMARY KEY (gateway_id, epoch)
);
CREATE INDEX gateway_epoch_hole ON gateway_epoch (hole_since) WHERE hole_since IS NOT NULL;

-- One row for each device record, whatever way and however often it came: this key decides what
-- is a duplicate. Keeps the bytes as the device gave them, and the record as it travelled, from
-- which a time correction or a newer mapping makes the observations anew.
CREATE TABLE device_record (
    record_id       uuid PRIMARY KEY,
    care_unit_id    uuid NOT NULL,
    patient_id      uuid NOT NULL,
    device_id       text NOT NULL,
    gateway_id      text NOT NULL,
    epoch           uuid NOT NULL,
    number          bigint NOT NULL,
    kind            text NOT NULL CHECK (kind IN
                    ('measurement', 'failed_attempt', 'incomplete', 'unsupported_frame')),
    is_identity_own boolean NOT NULL,
    is_suspected_double boolean NOT NULL DEFAULT false,
    characteristic  text NOT NULL,
    raw             bytea NOT NULL,
    record          bytea NOT NULL,
    user_index      smallint,
    effective_at    timestamptz NOT NULL,
    time_quality    text NOT NULL,
    received_at     timestamptz NOT NULL,
    stored_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    device_clock_offset_s double precision,
    trace_id        text NOT NULL
);
CREATE INDEX ON device_record (patient_id, effective_at DESC);
CREATE INDEX ON device_record (device_id, received_at DESC);

-- id → when: a read by id takes the time from here and then opens one chunk (docs/adr/0004).
CREATE TABLE identity (
    id             uuid PRIMARY KEY,
    record_id      uuid NOT NULL,
    effective_at   timestamptz NOT NULL,
    phd_identifier text
);
CREATE INDEX ON identity (record_id);
CREATE INDEX ON identity (phd_identifier) WHERE phd_identifier IS NOT NULL;

-- The FHIR resource as finished text, and typed columns for search. No foreign key to or from a
-- hypertable, and every query bounds effective_at.
CREATE TABLE observation (
    id               uuid NOT NULL,
    record_id        uuid NOT NULL,
    version          integer NOT NULL DEFAULT 1,
    care_provider_id uuid NOT NULL,
    care_unit_id     uuid NOT NULL,
    patient_id       uuid NOT NULL,
    device_id        text NOT NULL,
    code             text NOT NULL,
    status           text NOT NULL,
    effective_at     timestamptz NOT NULL,
    time_quality     text NOT NULL,
    value            numeric,
    systolic         numeric,
    diastolic        numeric,
    is_irregular     boolean NOT NULL DEFAULT false,
    is_doubtful      boolean NOT NULL DEFAULT false,
    last_updated     timestamptz NOT NULL,
    resource         text NOT NULL
);
DO $$ BEGIN  -- not SELECT: the migration tool would print its result
    PERFORM create_hypertable('observation', by_range('effective_at', INTERVAL '90 days'),
                              create_default_indexes => false);
END $$;
CREATE UNIQUE INDEX observation_id ON observation (id, effective_at);
CREATE INDEX observation_patient_code ON observation (patient_id, code, effective_at DESC, id DESC);
CREATE INDEX observation_unit ON observation (care_unit_id, effective_at DESC);

-- Versions that are no longer current, with who changed them and why.
CREATE TABLE observation_history (
    id           uuid NOT NULL,
    version      integer NOT NULL,
    effective_at timestamptz NOT NULL,
    last_updated timestamptz NOT NULL,
    resource     text NOT NULL,
    changed_by   text NOT NULL,
    reason       text NOT NULL,
    PRIMARY KEY (id, version)
);

-- What did not fit, kept with its bytes until a person or a correction lets it in.
CREATE TABLE quarantine (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id   text NOT NULL,
    care_unit_id uuid,
    epoch        uuid,
    number       bigint,
    reason       text NOT NULL,
    detail       text NOT NULL,
    payload      bytea NOT NULL,
    payload_size bigint NOT NULL,
    record_id    uuid,
    device_id    text,
    trace_id     text,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at  timestamptz,
    resolution   text,
    resolved_by  text
);
CREATE INDEX quarantine_open ON quarantine (care_unit_id, received_at) WHERE resolved_at IS NULL;
CREATE INDEX ON quarantine (record_id) WHERE record_id IS NOT NULL;
-- These are sent again and again, and kept once.
CREATE INDEX quarantine_repeated ON quarantine (gateway_id, reason)
 WHERE number IS NULL OR reason = 'number_reused';
