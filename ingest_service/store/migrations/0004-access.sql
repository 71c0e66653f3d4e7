-- Who may look, and who did.
-- depends: 0003-alerts

-- An EHR system; its bearer tokens are signed, short-lived and not stored.
CREATE TABLE api_client (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    care_unit_ids uuid[] NOT NULL,
    scopes        text NOT NULL,
    is_revoked    boolean NOT NULL DEFAULT false
);

-- A member of staff signed in; only the cookie's digest is kept.
CREATE TABLE web_session (
    cookie_digest bytea PRIMARY KEY,
    subject       text NOT NULL,
    name          text NOT NULL,
    hsa_id        text NOT NULL,
    care_unit_id  uuid NOT NULL REFERENCES care_unit,
    purpose       text NOT NULL,
    created_at    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    logged_patients uuid[] NOT NULL DEFAULT '{}'
);
CREATE INDEX ON web_session (seen_at);

-- One row for each opening, and one for each list view when what it shows changes: who, from
-- which unit, for what purpose, what, whose. Append-only.
CREATE TABLE access_log (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text NOT NULL,
    actor_kind   text NOT NULL CHECK (actor_kind IN ('staff', 'system')),
    care_unit_id uuid,
    purpose      text,
    action       text NOT NULL,
    patient_ids  uuid[] NOT NULL,
    trace_id     text
);
CREATE INDEX ON access_log (at);
CREATE INDEX ON access_log USING gin (patient_ids);

-- Least privilege: what each service may do, and nothing else.
GRANT SELECT ON incarnation, care_provider, care_unit, patient, gateway, device, assignment, limit_set
   TO hemvital_ingest, hemvital_api, hemvital_jobs;
GRANT UPDATE (last_updated) ON patient TO hemvital_ingest;  -- FOR UPDATE asks for it
GRANT UPDATE (manufacturer, model, serial, firmware, last_updated) ON device TO hemvital_ingest;
GRANT SELECT, INSERT ON delivery, device_record, identity, observation_history, quarantine, alert_event
   TO hemvital_ingest;
GRANT UPDATE (outcome) ON delivery TO hemvital_ingest;
GRANT UPDATE ON device_record, identity, quarantine TO hemvital_ingest;
GRANT SELECT, INSERT, UPDATE ON gateway_epoch, alert TO hemvital_ingest;
GRANT SELECT, INSERT, DELETE ON observation TO hemvital_ingest;
GRANT SELECT, UPDATE (asked_at) ON gateway_epoch TO hemvital_jobs;
GRANT SELECT ON quarantine TO hemvital_jobs;
GRANT SELECT ON device_record, identity, observation, observation_history, quarantine, alert, alert_event,
                gateway_epoch, api_client
   TO hemvital_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON web_session TO hemvital_api;
GRANT SELECT, INSERT ON access_log TO hemvital_api;
