-- Whose a reading is may be decided by a person, and anew: who, why, and what became of it.
-- depends: 0007-jobs-see-no-patients

-- attribution counts how often the record was given to somebody else, and is part of its
-- observations' ids: what was another person's keeps its own. is_decided: by a person and not by
-- the assignments; is_invalid: taken back, nobody's; may_be_another: far from the patient's usual.
ALTER TABLE device_record ADD COLUMN attribution    smallint NOT NULL DEFAULT 0,
                          ADD COLUMN is_decided     boolean NOT NULL DEFAULT false,
                          ADD COLUMN is_invalid     boolean NOT NULL DEFAULT false,
                          ADD COLUMN may_be_another boolean NOT NULL DEFAULT false;
ALTER TABLE identity ADD COLUMN attribution smallint NOT NULL DEFAULT 0;
ALTER TABLE observation ADD COLUMN may_be_another boolean NOT NULL DEFAULT false;

-- A device that somebody else had before: when it was first heard of in its new home (A15).
ALTER TABLE assignment ADD COLUMN first_received_at timestamptz;

-- What a message was, so that a newer program can read it; and since when it waits, wherever.
ALTER TABLE quarantine ADD COLUMN schema_version text,
                       ADD COLUMN resolved_why   text;
CREATE INDEX quarantine_draining ON quarantine (device_id)
 WHERE resolved_at IS NULL AND reason = 'first_session';

-- Who changed observations, and why: FHIR Provenance as finished text.
CREATE TABLE provenance (
    id           uuid PRIMARY KEY,
    record_id    uuid NOT NULL,
    patient_id   uuid NOT NULL,
    care_unit_id uuid NOT NULL,
    activity     text NOT NULL CHECK (activity IN ('correction', 'invalidation', 'attribution')),
    recorded     timestamptz NOT NULL,
    decided_by   text NOT NULL,
    reason       text NOT NULL,
    resource     text  -- none of a frame that no codec reads: there is no observation to name
);
CREATE INDEX ON provenance (record_id);
CREATE INDEX ON provenance (patient_id, recorded);

-- A worker reads what strangers send: moving a reading to somebody else is not among its rights.
GRANT UPDATE (patient_id, care_unit_id, attribution, is_decided, is_invalid, kind, may_be_another)
   ON device_record TO hemvital_operator;
-- Whether anybody was ever alerted of an observation is asked before it is judged again.
CREATE INDEX alert_patient ON alert (patient_id);

GRANT UPDATE (first_received_at) ON assignment TO hemvital_ingest;
GRANT UPDATE (resolved_why) ON quarantine TO hemvital_ingest;
GRANT SELECT, INSERT ON provenance TO hemvital_ingest;
GRANT SELECT ON provenance TO hemvital_api;
