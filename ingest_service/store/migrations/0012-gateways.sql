-- How gateways stand, what they were told to do, and which one stands with which device.
-- depends: 0011-receivers-and-retention

-- One row for each gateway that ever said anything. heard_at: when its last status was said, by our
-- clock; changed_at: since when is_online is what it is. said is its last status while it was
-- online: a last will knows nothing. digest tells cheaply whether another one says the same.
CREATE TABLE gateway_status (
    gateway_id    text PRIMARY KEY REFERENCES gateway,
    is_online     boolean NOT NULL,
    heard_at      timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    configuration bigint,
    said          jsonb,
    digest        bytea NOT NULL
) WITH (fillfactor = 60);  -- heard_at moves once a minute: the new row finds room in its page

-- What was wrong, from and to. since is the gateway's own time where is_since_trusted, else ours.
-- device_id is empty for the gateway itself.
CREATE TABLE gateway_condition (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id       text NOT NULL REFERENCES gateway,
    kind             text NOT NULL,
    device_id        text NOT NULL DEFAULT '',
    since            timestamptz NOT NULL,
    is_since_trusted boolean NOT NULL,
    detail           text,
    first_heard_at   timestamptz NOT NULL,
    ended_at         timestamptz
);
CREATE UNIQUE INDEX gateway_condition_open ON gateway_condition (gateway_id, kind, device_id)
 WHERE ended_at IS NULL;
CREATE INDEX ON gateway_condition (gateway_id, id);

-- Told at least once, stored once; another gateway's event of the same id is another event.
CREATE TABLE gateway_event (
    gateway_id    text NOT NULL REFERENCES gateway,
    id            uuid NOT NULL,
    at            timestamptz NOT NULL,
    is_at_trusted boolean NOT NULL,
    kind          text NOT NULL,
    condition     text,
    device_id     text,
    detail        text,
    received_at   timestamptz NOT NULL,
    PRIMARY KEY (gateway_id, id)
);
CREATE INDEX ON gateway_event (gateway_id, received_at);

-- Every configuration that a gateway was ever given, and who decided. published_at: when the
-- broker last got it.
CREATE TABLE gateway_configuration (
    gateway_id          text NOT NULL REFERENCES gateway,
    version             bigint NOT NULL CHECK (version > 0),
    issued_at           timestamptz NOT NULL,
    decided_by          text NOT NULL CHECK (decided_by <> ''),
    follows_assignments boolean NOT NULL,
    pairing_until       timestamptz,
    content             jsonb NOT NULL,
    published_at        timestamptz,
    PRIMARY KEY (gateway_id, version)
);

-- Since when statuses have come without a break, and when that was last so: whoever does not listen
-- itself knows of no gateway that it is away.
CREATE TABLE gateway_listener (
    is_current boolean PRIMARY KEY DEFAULT true CHECK (is_current),
    since      timestamptz NOT NULL,
    last_at    timestamptz NOT NULL
);

-- The gateway of the home that a device stands in; readings come by any gateway all the same.
ALTER TABLE device ADD COLUMN gateway_id text REFERENCES gateway;

-- Holes below floor are asked for no longer: an epoch with thousands of them is cut off there, so
-- that it cannot grow for ever. What comes from below is stored and receipted like anything else.
ALTER TABLE gateway_epoch ADD COLUMN floor bigint NOT NULL DEFAULT 1;

-- The jobs listen to gateways and tell them what to do. Of devices they learn which stand where and
-- whether somebody has them, and never who.
GRANT SELECT, INSERT, UPDATE ON gateway_status, gateway_listener TO hemvital_jobs;
GRANT SELECT, INSERT, DELETE, UPDATE (since, is_since_trusted, detail, ended_at)
   ON gateway_condition TO hemvital_jobs;
GRANT SELECT, INSERT, DELETE ON gateway_event TO hemvital_jobs;
GRANT SELECT, INSERT, UPDATE (published_at) ON gateway_configuration TO hemvital_jobs;
GRANT SELECT (id, gateway_id) ON device TO hemvital_jobs;
GRANT SELECT (device_id, valid) ON assignment TO hemvital_jobs;

GRANT SELECT ON gateway_status, gateway_condition, gateway_event, gateway_configuration,
                gateway_listener
   TO hemvital_ingest;
GRANT INSERT ON gateway_configuration TO hemvital_operator;
