-- Who received what of a patient and what they must hear of it; holds, and what destruction leaves.
-- depends: 0010-operations

-- Whoever gets readings from us: an EHR system that pulls (its id is its api_client's), and, when
-- they come, subscriptions and exports.
CREATE TABLE receiver (
    id       text PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('pull', 'subscription', 'export')),
    name     text NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who ever received anything of a patient. The reference to the patient is also the lock that
-- makes a first contact and a change of this patient's readings wait for each other
-- (docs/adr/0020): it must stay.
CREATE TABLE receiver_patient (
    receiver_id text NOT NULL REFERENCES receiver,
    patient_id  uuid NOT NULL REFERENCES patient,
    first_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (receiver_id, patient_id)
);
CREATE INDEX ON receiver_patient (patient_id);

-- What a receiver must hear: a version that takes back or corrects what it may have got.
CREATE TABLE receiver_news (
    receiver_id    text NOT NULL REFERENCES receiver,
    observation_id uuid NOT NULL,
    version        integer NOT NULL,
    patient_id     uuid NOT NULL,
    change_id      uuid NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    told_at        timestamptz,
    PRIMARY KEY (receiver_id, observation_id, version)
);
CREATE INDEX receiver_news_untold ON receiver_news (created_at, receiver_id) WHERE told_at IS NULL;
CREATE INDEX ON receiver_news (patient_id);

-- The access log knows who read before this table did.
INSERT INTO receiver (id, kind, name, since)
SELECT l.actor, 'pull', coalesce(max(c.name), l.actor), min(l.at)
  FROM access_log l
  LEFT JOIN api_client c ON c.id = l.actor
 WHERE l.actor_kind = 'system'
 GROUP BY l.actor;
INSERT INTO receiver_patient (receiver_id, patient_id, first_at, last_at)
SELECT l.actor, p.id, min(l.at), max(l.at)
  FROM access_log l
 CROSS JOIN unnest(l.patient_ids) AS named(patient_id)
  JOIN patient p ON p.id = named.patient_id
 WHERE l.actor_kind = 'system'
 GROUP BY l.actor, p.id;

GRANT SELECT ON receiver, receiver_patient, receiver_news TO hemvital_ingest, hemvital_api;
GRANT INSERT ON receiver_news TO hemvital_ingest;
GRANT INSERT (id, kind, name) ON receiver TO hemvital_api;
GRANT INSERT (receiver_id, patient_id), UPDATE (last_at) ON receiver_patient TO hemvital_api;
GRANT UPDATE (told_at) ON receiver_news TO hemvital_api;

-- Nothing of this patient is destroyed or forgotten while a row here is not released.
CREATE TABLE legal_hold (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id  uuid NOT NULL REFERENCES patient,
    reason      text NOT NULL CHECK (reason <> ''),
    decided_by  text NOT NULL CHECK (decided_by <> ''),
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text,
    CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE INDEX legal_hold_open ON legal_hold (patient_id) WHERE released_at IS NULL;

-- What was destroyed on whose decision: numbers and times, and who else must destroy. The patient's
-- id is ours and names nobody; the decision, which is kept outside, says who it was. The access
-- log's entries are found by it.
CREATE TABLE destruction (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    decision     text NOT NULL CHECK (decision <> ''),
    patient_id   uuid NOT NULL,
    care_unit_id uuid NOT NULL,
    done_by      text NOT NULL CHECK (done_by <> ''),
    done_at      timestamptz NOT NULL,
    tables       jsonb NOT NULL,
    receivers    jsonb NOT NULL
);
CREATE INDEX ON destruction (patient_id);

-- Records that must not come again: gateways keep what they delivered for 30 days, devices longer.
CREATE TABLE destroyed_record (record_id uuid PRIMARY KEY);

-- Set when the bytes of an old record were emptied (hemvital-ingest forget-raw).
ALTER TABLE device_record ADD COLUMN forgotten_at timestamptz;
ALTER TABLE quarantine ADD COLUMN forgotten_at timestamptz;

GRANT SELECT ON destroyed_record TO hemvital_ingest;
