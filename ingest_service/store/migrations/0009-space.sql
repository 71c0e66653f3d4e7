-- Texts are stored compressed, and what changed can be asked for in the order of storing.
-- depends: 0007-jobs-see-no-patients

-- A copy of every dictionary that texts were ever compressed with: a backup can be read by itself.
CREATE TABLE text_dictionary (
    id       integer PRIMARY KEY,
    content  bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON text_dictionary TO hemvital_ingest, hemvital_api;

-- In the order in which workers take them, or they and we would wait for each other. Writers wait
-- while what is stored already is told; readers do not.
LOCK TABLE identity, observation, observation_history IN SHARE ROW EXCLUSIVE MODE;

-- One row for each version that became current, by the database's own clock as it was written: a
-- transaction lasts a minute at most, so what is older than that is complete. No foreign keys.
CREATE TABLE observation_change (
    last_updated timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    id           uuid NOT NULL,
    care_unit_id uuid NOT NULL,
    patient_id   uuid NOT NULL,
    version      integer NOT NULL
);
DO $$ BEGIN
    PERFORM create_hypertable('observation_change', by_range('last_updated', INTERVAL '60 days'),
                              create_default_indexes => false);
END $$;
CREATE INDEX observation_change_unit ON observation_change (care_unit_id, last_updated);
GRANT SELECT, INSERT, DELETE ON observation_change TO hemvital_ingest;
GRANT SELECT ON observation_change TO hemvital_api;

INSERT INTO observation_change (last_updated, effective_at, id, care_unit_id, patient_id, version)
SELECT last_updated, effective_at, id, care_unit_id, patient_id, version FROM observation;

-- FHIR's identifier of a device's measurement as the first half of its SHA-256: the text stands
-- in the resource, and here it took 66 bytes twice. Rows of the release before keep the text.
ALTER TABLE identity ADD COLUMN phd_digest uuid;
CREATE INDEX identity_phd_digest ON identity (phd_digest) WHERE phd_digest IS NOT NULL;
GRANT UPDATE (phd_digest) ON identity TO hemvital_ingest;

-- body takes the place of resource, which workers of the release before still write.
ALTER TABLE observation ADD COLUMN body bytea, ALTER COLUMN resource DROP NOT NULL;
ALTER TABLE observation ADD CONSTRAINT observation_has_text
      CHECK (body IS NOT NULL OR resource IS NOT NULL) NOT VALID;
ALTER TABLE observation_history ADD COLUMN body bytea, ALTER COLUMN resource DROP NOT NULL;
ALTER TABLE observation_history ADD CONSTRAINT observation_history_has_text
      CHECK (body IS NOT NULL OR resource IS NOT NULL) NOT VALID;

-- What a worker of the release before stores has a text and no body; its changes are told here.
CREATE FUNCTION tell_observation_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO observation_change (last_updated, effective_at, id, care_unit_id, patient_id, version)
    VALUES (clock_timestamp(), NEW.effective_at, NEW.id, NEW.care_unit_id, NEW.patient_id, NEW.version);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_observation_change AFTER INSERT ON observation
   FOR EACH ROW WHEN (NEW.body IS NULL) EXECUTE FUNCTION tell_observation_change();

-- When such a worker retires a version that a newer one stored, it copies the empty text and knows
-- nothing of the body. STABLE: the function sees what was there when the statement began, so also
-- the row that this statement deletes.
CREATE FUNCTION keep_retired_body() RETURNS trigger LANGUAGE plpgsql STABLE AS $$
BEGIN
    NEW.body := (SELECT body FROM observation
                  WHERE id = NEW.id AND effective_at = NEW.effective_at AND version = NEW.version);
    RETURN NEW;
END $$;
CREATE TRIGGER keep_retired_body BEFORE INSERT ON observation_history
   FOR EACH ROW WHEN (NEW.body IS NULL AND NEW.resource IS NULL)
   EXECUTE FUNCTION keep_retired_body();
