-- What judging anew needs beside readings: all that devices said of them, and when time was judged.
-- depends: 0021-acting

-- What the device and the door said of the reading, as alerts quote it; NULL where nothing was said
-- and in rows of the releases before, which know is_irregular, is_doubtful and may_be_another alone.
ALTER TABLE observation ADD COLUMN flags text[];
ALTER TABLE observation_history ADD COLUMN flags text[];

-- When time was judged for a patient, and from when on: a tick may come a minute or days after a
-- deadline, and sees what has come by then. Append-only.
CREATE TABLE patient_tick (
    patient_id     uuid NOT NULL REFERENCES patient,
    at             timestamptz NOT NULL,
    judged_through timestamptz NOT NULL,
    PRIMARY KEY (patient_id, at)
);
GRANT SELECT, INSERT ON patient_tick TO hemvital_ingest;
