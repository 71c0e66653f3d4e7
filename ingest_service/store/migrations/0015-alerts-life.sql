-- An alert's life: waiting for a second value, owner, deadlines, pause, outcome, and what it rests on;
-- what persons did to it, and to which backup unit it was opened.
-- depends: 0014-plans

ALTER TABLE alert DROP CONSTRAINT alert_state_check;
ALTER TABLE alert ADD CONSTRAINT alert_state_check
      CHECK (state IN ('awaiting', 'new', 'taken', 'paused', 'resolved'));

-- raised_at: NULL while nobody has been alerted. last_reading_at: NULL where it rests on no reading.
-- due_at: when the present state passes to the next by itself. confirm_by: a second value is waited for.
-- state_by and state_at: who brought it into its state or hands, and when. undo: the last action of a
-- person and how it was before, while nothing else has happened since.
ALTER TABLE alert
      ALTER COLUMN raised_at DROP NOT NULL,
      ALTER COLUMN last_reading_at DROP NOT NULL,
      ADD COLUMN confirm_by   timestamptz,
      ADD COLUMN due_at       timestamptz,
      ADD COLUMN owner        text,
      ADD COLUMN paused_until timestamptz,
      ADD COLUMN pause_reason text,
      ADD COLUMN escalations  integer NOT NULL DEFAULT 0,
      ADD COLUMN outcome      text,
      ADD COLUMN resolved_at  timestamptz,
      ADD COLUMN plan_id      uuid,
      ADD COLUMN plan_version integer,
      ADD COLUMN facts        jsonb NOT NULL DEFAULT '{}',
      ADD COLUMN state_by     text,
      ADD COLUMN state_at     timestamptz,
      ADD COLUMN undo         jsonb;
-- Until now an alert ended only when nothing was left of what it rested on.
UPDATE alert SET resolved_at = updated_at, outcome = 'withdrawn' WHERE state = 'resolved';
-- Nobody could take one until now, and what nobody owns must not look taken.
UPDATE alert SET state = 'new' WHERE state = 'taken';
-- What waits since before there were deadlines is due at once.
UPDATE alert SET due_at = clock_timestamp() WHERE state = 'new';
ALTER TABLE alert
      ADD CONSTRAINT alert_owner_check CHECK ((state = 'taken') = (owner IS NOT NULL)),
      ADD CONSTRAINT alert_pause_check CHECK ((state = 'paused') = (paused_until IS NOT NULL));
CREATE INDEX alert_owner ON alert (owner) WHERE state = 'taken';

-- at: when it happened. A deadline that is passed late happened at its own time; written_at is when
-- we came to know it.
ALTER TABLE alert_event ADD COLUMN written_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- What a person did, under an id that their browser gave it: twice the same is done once. Append-only.
CREATE TABLE alert_action (
    id           uuid PRIMARY KEY,
    alert_id     uuid NOT NULL REFERENCES alert,
    patient_id   uuid NOT NULL REFERENCES patient,
    care_unit_id uuid NOT NULL REFERENCES care_unit,
    by           text NOT NULL CHECK (by <> ''),
    at           timestamptz NOT NULL,
    action       jsonb NOT NULL,
    became_id    uuid NOT NULL REFERENCES alert
);
CREATE INDEX ON alert_action (alert_id);
CREATE INDEX ON alert_action (patient_id);

-- Which unit takes over another's red ones, and on which occasion: while it is closed, or where
-- nobody takes them although they were escalated. right_h: for how many hours each time it may open
-- the patient. Only the end of valid ever changes.
CREATE TABLE backup_agreement (
    id             uuid PRIMARY KEY,
    care_unit_id   uuid NOT NULL REFERENCES care_unit,
    backup_unit_id uuid NOT NULL REFERENCES care_unit,
    occasion       text NOT NULL CHECK (occasion IN ('closed', 'escalated')),
    right_h        smallint NOT NULL DEFAULT 12 CHECK (right_h BETWEEN 1 AND 72),
    valid          tstzrange NOT NULL CHECK (NOT lower_inf(valid)),
    registered_by  text NOT NULL CHECK (registered_by <> ''),
    registered_at  timestamptz NOT NULL,
    ended_by       text,
    CHECK (care_unit_id <> backup_unit_id),
    EXCLUDE USING gist (care_unit_id WITH =, occasion WITH =, valid WITH &&)
);

-- That a backup unit may open an alert's patient for a time, and why: the right and its log in one.
-- Append-only.
CREATE TABLE backup_grant (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agreement_id   uuid NOT NULL REFERENCES backup_agreement,
    alert_id       uuid NOT NULL REFERENCES alert,
    patient_id     uuid NOT NULL REFERENCES patient,
    care_unit_id   uuid NOT NULL REFERENCES care_unit,
    backup_unit_id uuid NOT NULL REFERENCES care_unit,
    valid          tstzrange NOT NULL CHECK (NOT lower_inf(valid) AND NOT upper_inf(valid)),
    reason         text NOT NULL,
    written_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON backup_grant USING gist (backup_unit_id, valid);
CREATE INDEX ON backup_grant (patient_id);
CREATE INDEX ON backup_grant (alert_id);

-- That a patient has died, as somebody found out; whoever was wrong takes it back with a reason.
CREATE TABLE death (
    id           uuid PRIMARY KEY,
    patient_id   uuid NOT NULL REFERENCES patient,
    told_at      timestamptz NOT NULL,
    told_by      text NOT NULL CHECK (told_by <> ''),
    source       text NOT NULL CHECK (source <> ''),
    revoked_at   timestamptz,
    revoked_by   text,
    revoked_why  text,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoked_why IS NULL))
);
CREATE UNIQUE INDEX death_standing ON death (patient_id) WHERE revoked_at IS NULL;
CREATE INDEX ON death (patient_id);

-- When a session ends by itself: whoever has none that lives owns no alerts.
ALTER TABLE web_session
      ADD COLUMN ends_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '30 minutes';
CREATE INDEX ON web_session (hsa_id);

-- All that the clock sees of sessions: who is there, and until when.
CREATE VIEW staff_presence WITH (security_barrier) AS
SELECT hsa_id, max(ends_at) AS ends_at FROM web_session GROUP BY hsa_id;

-- Nurses act through the API, which lets deadlines pass before it does what they want; it raises none.
GRANT UPDATE ON alert TO hemvital_api;
GRANT INSERT ON alert_event TO hemvital_api;
GRANT UPDATE (last_updated) ON patient TO hemvital_api;  -- FOR UPDATE asks for it
GRANT SELECT, INSERT ON alert_action, backup_grant TO hemvital_api, hemvital_ingest;
GRANT SELECT ON backup_agreement, death TO hemvital_api, hemvital_ingest;
GRANT INSERT, UPDATE (revoked_at, revoked_by, revoked_why) ON death TO hemvital_api;
GRANT SELECT ON staff_presence TO hemvital_ingest, hemvital_api;
