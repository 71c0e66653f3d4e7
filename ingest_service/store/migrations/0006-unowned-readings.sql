-- Readings that wait without an owner and would be red; gateways that must hear of a restore.
-- depends: 0005-jobs

-- Set for a reading that would be red for whoever it may be: work for the unit, with red's clock.
ALTER TABLE quarantine ADD COLUMN priority  text CHECK (priority = 'red'),
                       ADD COLUMN raised_at timestamptz;

-- After a restore: every known gateway, until it has sent something and so been answered.
CREATE TABLE untold_gateway (
    gateway_id text PRIMARY KEY,
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    told_at    timestamptz
);
GRANT SELECT, DELETE, UPDATE (told_at) ON untold_gateway TO hemvital_jobs;

-- What a device sent, and the bytes that wait, nobody changes.
REVOKE UPDATE ON device_record, identity, quarantine FROM hemvital_ingest;
GRANT UPDATE (effective_at, time_quality, record) ON device_record TO hemvital_ingest;
GRANT UPDATE (effective_at, phd_identifier) ON identity TO hemvital_ingest;
GRANT UPDATE (resolved_at, resolution, resolved_by) ON quarantine TO hemvital_ingest;
