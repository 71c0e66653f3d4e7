-- What the platform wants said to whom, and how staff are told of it.
-- depends: 0013-enrolment

-- BCP 47; empty: Swedish. Kin's is kept here as long as nothing else is known of them.
ALTER TABLE patient
    ADD COLUMN language     text CHECK (language ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}$'),
    ADD COLUMN kin_language text CHECK (kin_language ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}$');

-- The outbox: written in the transaction that gives the reason, once for each key. Only the state
-- of a row ever changes. waiting: nobody has passed it on; handed_on: it went to channels;
-- unroutable: there was no channel for it. alert_id has no reference: a message may be written
-- before its alert, in the same transaction.
CREATE TABLE message (
    id           uuid PRIMARY KEY,
    key          text NOT NULL UNIQUE CHECK (length(key) BETWEEN 1 AND 500),
    kind         text NOT NULL,
    recipient    text NOT NULL CHECK (recipient IN ('patient', 'next_of_kin', 'nurse_on_duty', 'unit_lead',
                                                    'backup_unit', 'operator')),
    care_unit_id uuid REFERENCES care_unit,
    patient_id   uuid REFERENCES patient,
    alert_id     uuid,
    priority     text CHECK (priority IN ('red', 'yellow', 'blue')),
    is_open      boolean,
    language     text,
    deadline     timestamptz,
    created_at   timestamptz NOT NULL,
    state        text NOT NULL DEFAULT 'waiting'
                 CHECK (state IN ('waiting', 'handed_on', 'unroutable', 'expired', 'cancelled')),
    state_at     timestamptz,
    cause        text,
    CHECK (care_unit_id IS NOT NULL OR recipient = 'operator'),
    CHECK (patient_id IS NOT NULL OR recipient NOT IN ('patient', 'next_of_kin')),
    CHECK ((state = 'cancelled') = (cause IS NOT NULL))
);
CREATE INDEX message_for_staff ON message (created_at)
 WHERE state = 'waiting' AND recipient NOT IN ('patient', 'next_of_kin');
CREATE INDEX message_for_home ON message (created_at)
 WHERE state = 'waiting' AND recipient IN ('patient', 'next_of_kin');
CREATE INDEX ON message (patient_id);

-- Whom staff's messages reach, and how. Never changed but for its end: another address is another
-- channel. secret is the name of a file that the jobs can read, never a secret. rank: the lowest
-- is told at once, the next where that fails. hours: of the unit, at the occasion.
CREATE TABLE notification_channel (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    care_unit_id uuid REFERENCES care_unit,
    recipient    text NOT NULL CHECK (recipient IN ('nurse_on_duty', 'unit_lead', 'backup_unit', 'operator')),
    kind         text NOT NULL CHECK (kind IN ('webhook', 'email', 'sms')),
    address      text NOT NULL CHECK (length(address) BETWEEN 1 AND 2000),
    secret       text,
    language     text NOT NULL DEFAULT 'sv',
    priorities   text[] NOT NULL CHECK (priorities <@ ARRAY['red', 'yellow', 'blue'] AND priorities <> '{}'),
    hours        text NOT NULL CHECK (hours IN ('always', 'open', 'closed')),
    rank         smallint NOT NULL CHECK (rank BETWEEN 1 AND 9),
    is_active    boolean NOT NULL DEFAULT true,
    decided_by   text NOT NULL CHECK (decided_by <> ''),
    decided_at   timestamptz NOT NULL,
    ended_by     text,
    ended_at     timestamptz,
    CHECK ((recipient = 'operator') = (care_unit_id IS NULL)),
    CHECK ((kind = 'webhook') = (secret IS NOT NULL)),
    CHECK (is_active = (ended_at IS NULL) AND is_active = (ended_by IS NULL))
);
CREATE UNIQUE INDEX ON notification_channel (coalesce(care_unit_id, '00000000-0000-0000-0000-000000000000'),
                                             recipient, kind, address)
 WHERE is_active;

-- One telling of one message by one channel. id goes out with every attempt, so that whoever gets it
-- twice can tell. next_try_at: queued and failed are looked at again then; sending is taken for
-- lost then. error is the class of the last one and nothing of its text.
CREATE TABLE notification (
    id           uuid PRIMARY KEY,
    message_id   uuid NOT NULL REFERENCES message,
    channel_id   bigint NOT NULL REFERENCES notification_channel,
    state        text NOT NULL DEFAULT 'queued'
                 CHECK (state IN ('queued', 'sending', 'delivered', 'failed', 'given_up', 'cancelled')),
    attempts     integer NOT NULL DEFAULT 0,
    error        text,
    created_at   timestamptz NOT NULL,
    next_try_at  timestamptz NOT NULL,
    delivered_at timestamptz,
    UNIQUE (message_id, channel_id),
    CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX notification_due ON notification (next_try_at) WHERE state IN ('queued', 'sending', 'failed');

-- What the jobs see of the outbox: what is for staff, and not whom it is about.
CREATE VIEW staff_message WITH (security_barrier) AS
SELECT id, kind, recipient, care_unit_id, priority, is_open, deadline, created_at, state, state_at
  FROM message
 WHERE recipient NOT IN ('patient', 'next_of_kin');

GRANT SELECT, INSERT, UPDATE (state, state_at, cause) ON message TO hemvital_ingest;
GRANT INSERT ON message TO hemvital_jobs;
GRANT SELECT, UPDATE (state, state_at) ON staff_message TO hemvital_jobs;
GRANT SELECT ON notification_channel TO hemvital_jobs, hemvital_operator;
GRANT SELECT, INSERT, UPDATE (state, attempts, error, next_try_at, delivered_at) ON notification
   TO hemvital_jobs;
GRANT INSERT, UPDATE (is_active, ended_by, ended_at) ON notification_channel TO hemvital_operator;
GRANT SELECT, INSERT ON notification TO hemvital_operator;
