-- Alerts, and the version number that tells open pages to look again.
-- depends: 0002-readings

-- rule, limits in force and readings used are copies: an alert explains itself for ever.
-- At most one unresolved alert for a patient and rule; further readings join it.
CREATE TABLE alert (
    id              uuid PRIMARY KEY,
    care_unit_id    uuid NOT NULL,
    patient_id      uuid NOT NULL REFERENCES patient,
    rule            text NOT NULL,
    rule_version    integer NOT NULL,
    priority        text NOT NULL CHECK (priority IN ('red', 'yellow', 'blue')),
    state           text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'taken', 'resolved')),
    raised_at       timestamptz NOT NULL,
    last_reading_at timestamptz NOT NULL,
    limits          jsonb NOT NULL,
    readings        jsonb NOT NULL,
    trace_id        text,
    version         integer NOT NULL DEFAULT 1,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX alert_open ON alert (patient_id, rule) WHERE state <> 'resolved';
CREATE INDEX alert_unit ON alert (care_unit_id, priority, raised_at) WHERE state <> 'resolved';

-- What happened to an alert, in order; nothing here is ever changed.
CREATE TABLE alert_event (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id uuid NOT NULL REFERENCES alert,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    event    text NOT NULL,
    by       text NOT NULL,
    detail   jsonb
);
CREATE INDEX ON alert_event (alert_id, at);
