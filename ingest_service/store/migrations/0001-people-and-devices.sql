-- People, units, devices, and who decides: plain tables with foreign keys.
-- depends:

-- One row: which life of this database this is. A restore from backup gets a new one
-- (hemvital-ingest restored), and every receipt names it, so that gateways send again.
CREATE TABLE incarnation (
    is_current boolean PRIMARY KEY DEFAULT true CHECK (is_current),
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    since      timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO incarnation DEFAULT VALUES;

CREATE TABLE care_provider (
    id     uuid PRIMARY KEY,
    hsa_id text NOT NULL UNIQUE,
    name   text NOT NULL
);

CREATE TABLE care_unit (
    id               uuid PRIMARY KEY,
    care_provider_id uuid NOT NULL REFERENCES care_provider,
    hsa_id           text NOT NULL UNIQUE,
    name             text NOT NULL
);

-- Its row is the lock under which a patient's readings are judged: SELECT … ORDER BY id FOR
-- UPDATE comes before every other lock (docs/adr/0005).
CREATE TABLE patient (
    id                uuid PRIMARY KEY,
    care_unit_id      uuid NOT NULL REFERENCES care_unit,
    identifier_system text NOT NULL,
    identifier_value  text NOT NULL,
    family            text NOT NULL,
    given             text NOT NULL,
    birth_date        date,
    gender            text CHECK (gender IN ('male', 'female', 'other', 'unknown')),
    programme         text,
    is_protected      boolean NOT NULL DEFAULT false,
    version           integer NOT NULL DEFAULT 1,
    last_updated      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (identifier_system, identifier_value)
);
CREATE INDEX ON patient (care_unit_id);

CREATE TABLE gateway (
    id           text PRIMARY KEY,
    care_unit_id uuid NOT NULL REFERENCES care_unit
);

-- id is the device's Bluetooth identity address; resource_id its FHIR logical id.
CREATE TABLE device (
    id           text PRIMARY KEY,
    resource_id  uuid NOT NULL UNIQUE,
    care_unit_id uuid NOT NULL REFERENCES care_unit,
    kind         text NOT NULL CHECK (kind IN ('blood_pressure', 'pulse_oximetry')),
    manufacturer text,
    model        text,
    serial       text,
    firmware     text,
    last_updated timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whose a reading is: device, or one user slot of it, to patient, from–to. A row without
-- user_index covers every slot: the device is declared to have one user.
CREATE TABLE assignment (
    id         uuid PRIMARY KEY,
    device_id  text NOT NULL REFERENCES device,
    user_index smallint CHECK (user_index BETWEEN 0 AND 255),
    patient_id uuid NOT NULL REFERENCES patient,
    valid      tstzrange NOT NULL,
    is_own     boolean NOT NULL DEFAULT false,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    EXCLUDE USING gist (device_id WITH =, (coalesce(user_index, -1)) WITH =, valid WITH &&)
);
CREATE INDEX ON assignment (patient_id);

-- Limits that a named clinician approved for one patient; nothing is judged without.
-- measure: systolic | diastolic (mm[Hg]) | pulse (/min) | spo2 (%).
CREATE TABLE limit_set (
    id          uuid PRIMARY KEY,
    patient_id  uuid NOT NULL REFERENCES patient,
    measure     text NOT NULL CHECK (measure IN ('systolic', 'diastolic', 'pulse', 'spo2')),
    red_low     numeric,
    yellow_low  numeric,
    yellow_high numeric,
    red_high    numeric,
    valid       tstzrange NOT NULL,
    approved_by text NOT NULL,
    approved_at timestamptz NOT NULL,
    EXCLUDE USING gist (patient_id WITH =, measure WITH =, valid WITH &&),
    CHECK (coalesce(red_low, yellow_low, yellow_high, red_high) IS NOT NULL)
);
