-- Measurement plans, the templates they come from, and units' hours. Replaces limit_set, whose rows
-- stay as history.
-- depends: 0013-enrolment

-- One row for each version; body is the plan document (docs/reference/plans.md). valid: when
-- patients were, are or will be judged by this version; empty for what nobody approved.
CREATE TABLE plan (
    id            uuid NOT NULL,
    version       integer NOT NULL,
    patient_id    uuid NOT NULL REFERENCES patient,
    care_unit_id  uuid NOT NULL REFERENCES care_unit,
    programme     text NOT NULL,
    status        text NOT NULL
                  CHECK (status IN ('draft', 'active', 'on-hold', 'revoked', 'completed')),
    valid         tstzrange NOT NULL DEFAULT 'empty',
    approved_by   text,
    approved_role text,
    approved_at   timestamptz,
    written_by    text NOT NULL,
    written_at    timestamptz NOT NULL,
    body          text NOT NULL,
    PRIMARY KEY (id, version),
    EXCLUDE USING gist (patient_id WITH =, programme WITH =, valid WITH &&),
    CHECK (isempty(valid) OR approved_by IS NOT NULL)
);
CREATE INDEX ON plan (patient_id);

CREATE TABLE care_unit_hours (
    care_unit_id uuid NOT NULL REFERENCES care_unit,
    version      integer NOT NULL,
    body         text NOT NULL,
    written_by   text NOT NULL,
    written_at   timestamptz NOT NULL,
    PRIMARY KEY (care_unit_id, version)
);
GRANT SELECT ON plan, care_unit_hours TO hemvital_ingest, hemvital_api;
