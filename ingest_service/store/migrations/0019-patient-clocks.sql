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
    at         timestamptz NOT NULL,
    is_whole   boolean NOT NULL,
    is_outage  boolean NOT NULL,
    cause      text,
    broken_since timestamptz
);
CREATE INDEX ON monitoring_change (patient_id, at);
