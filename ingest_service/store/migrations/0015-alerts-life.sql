-- An alert's life: waiting for a second value, owner, deadlines, pause, outcome, and what it rests on.
-- depends: 0014-plans

ALTER TABLE alert DROP CONSTRAINT alert_state_check;
ALTER TABLE alert ADD CONSTRAINT alert_state_check
      CHECK (state IN ('awaiting', 'new', 'taken', 'paused', 'resolved'));

-- raised_at: NULL while nobody has been alerted. last_reading_at: NULL where it rests on no reading.
-- due_at: when the present state passes to the next by itself. confirm_by: a second value is waited for.
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
      ADD COLUMN facts        jsonb NOT NULL DEFAULT '{}';
CREATE INDEX alert_owner ON alert (owner) WHERE state = 'taken';
