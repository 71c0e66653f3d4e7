-- What time alone changes: when a patient is due to be judged again, and whether anything of them
-- would have reached us.
-- depends: 0015-alerts-life

-- judged_through: deadlines before it are done with. due_at: nothing changes by itself before it.
CREATE TABLE patient_clock (
    patient_id     uuid PRIMARY KEY REFERENCES patient,
    due_at         timestamptz,
    judged_through timestamptz NOT NULL
);
CREATE INDEX ON patient_clock (due_at);

-- Since when a patient's readings reach us or not, and why; append-only, so that what time judged
-- can be judged again, and so that "was she monitored that night" has an answer.
CREATE TABLE monitoring_change (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id uuid NOT NULL REFERENCES patient,
    family     text NOT NULL,
    at         timestamptz NOT NULL,
    is_whole   boolean NOT NULL,
    is_outage  boolean NOT NULL,
    cause      text,
    broken_since timestamptz
);
CREATE INDEX ON monitoring_change (patient_id, family, at DESC);

-- The clock judges as ingest does, with ingest's rights; why a patient is not seen it must be told.
GRANT SELECT, INSERT, UPDATE ON patient_clock TO hemvital_ingest;
GRANT SELECT, INSERT ON monitoring_change TO hemvital_ingest;
GRANT SELECT ON gateway_status, gateway_condition, gateway_listener, gateway_configuration
   TO hemvital_ingest;
GRANT SELECT ON patient_clock, monitoring_change TO hemvital_api;
