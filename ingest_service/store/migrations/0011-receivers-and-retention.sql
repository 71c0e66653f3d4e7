-- Who received what of a patient, and what they must hear of it.
-- depends: 0007-jobs-see-no-patients

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
