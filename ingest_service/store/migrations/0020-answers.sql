-- Patients' answers to questionnaires.
-- depends: 0019-patient-clocks

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
