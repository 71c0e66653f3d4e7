-- Patients' answers to questionnaires, and averages of home blood pressure as they were issued.
-- depends: 0015-alerts-life

-- The FHIR QuestionnaireResponse as it was written, and a number for each question that has one.
CREATE TABLE questionnaire_response (
    id            uuid PRIMARY KEY,
    patient_id    uuid NOT NULL REFERENCES patient,
    care_unit_id  uuid NOT NULL,
    questionnaire text NOT NULL,
    answered_at   timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    answers       jsonb NOT NULL,
    entered_by    text,
    resource      text NOT NULL
);
CREATE INDEX ON questionnaire_response (patient_id, answered_at DESC);
GRANT SELECT, INSERT ON questionnaire_response TO hemvital_ingest;
GRANT SELECT, INSERT ON questionnaire_response TO hemvital_api;

-- The newest version of each average; its FHIR resource lies with the observations. digest changes
-- with anything that it rests on.
CREATE TABLE average (
    id               uuid PRIMARY KEY,
    version          integer NOT NULL,
    patient_id       uuid NOT NULL REFERENCES patient,
    care_unit_id     uuid NOT NULL,
    protocol_id      text NOT NULL,
    protocol_version integer NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('course', 'rolling')),
    first_day        date NOT NULL,
    last_day         date NOT NULL,
    time_zone        text NOT NULL,
    digest           text NOT NULL,
    issued_at        timestamptz NOT NULL,
    UNIQUE (patient_id, protocol_id, protocol_version, kind, first_day, last_day)
);
GRANT SELECT, INSERT, UPDATE (version, digest, issued_at) ON average TO hemvital_ingest;
GRANT SELECT, INSERT, UPDATE (version, digest, issued_at) ON average TO hemvital_operator;
GRANT SELECT ON average TO hemvital_api;
