-- Measurement plans, the templates they come from, and units' hours. Replaces limit_set, whose rows
-- stay as history.
-- depends: 0013-enrolment

-- A programme's template; a unit's may narrow its provider's. Immutable: a change is a version.
CREATE TABLE plan_template (
    id               text NOT NULL,
    version          integer NOT NULL CHECK (version > 0),
    care_provider_id uuid REFERENCES care_provider,
    care_unit_id     uuid REFERENCES care_unit,
    narrows_id       text,
    narrows_version  integer,
    approved_by      text NOT NULL,
    approved_role    text NOT NULL,
    approved_at      timestamptz NOT NULL,
    body             text NOT NULL,
    PRIMARY KEY (id, version),
    CHECK ((care_provider_id IS NULL) <> (care_unit_id IS NULL))
);

-- One row for each version; body is the plan document (docs/reference/plans.md). valid: when
-- patients were, are or will be judged by this version; empty for what nobody approved.
CREATE TABLE plan (
    id               uuid NOT NULL,
    version          integer NOT NULL CHECK (version > 0),
    patient_id       uuid NOT NULL REFERENCES patient,
    care_unit_id     uuid NOT NULL REFERENCES care_unit,
    programme        text NOT NULL,
    status           text NOT NULL
                     CHECK (status IN ('draft', 'active', 'on-hold', 'revoked', 'completed')),
    valid            tstzrange NOT NULL DEFAULT 'empty',
    template_id      text,
    template_version integer,
    approved_by      text,
    approved_role    text,
    approved_at      timestamptz,
    written_by       text NOT NULL,
    written_at       timestamptz NOT NULL,
    reason           text,
    replay           jsonb,  -- what these limits would have alerted, as the approver was shown
    body             text NOT NULL,
    PRIMARY KEY (id, version),
    EXCLUDE USING gist (patient_id WITH =, programme WITH =, valid WITH &&),
    CHECK (isempty(valid) OR (approved_by IS NOT NULL AND approved_role IS NOT NULL
                              AND approved_at IS NOT NULL AND status = 'active'))
);
CREATE INDEX plan_patient ON plan (patient_id);
CREATE INDEX plan_template_use ON plan (template_id, template_version);

-- An approved version says for ever what was approved; only when it stops holding may be written.
CREATE FUNCTION keep_approved_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.approved_at IS NOT NULL OR OLD.status <> 'draft')
       AND (to_jsonb(OLD) - 'valid') IS DISTINCT FROM (to_jsonb(NEW) - 'valid') THEN
        RAISE check_violation USING MESSAGE = 'an approved plan is never changed: write a new version';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_approved BEFORE UPDATE ON plan
    FOR EACH ROW EXECUTE FUNCTION keep_approved_plan();

CREATE TABLE care_unit_hours (
    care_unit_id uuid NOT NULL REFERENCES care_unit,
    version      integer NOT NULL CHECK (version > 0),
    body         text NOT NULL,
    written_by   text NOT NULL,
    written_at   timestamptz NOT NULL,
    PRIMARY KEY (care_unit_id, version)
);

-- Limits in force, or that will be, become plans of the programme "limits", one for each period in
-- which some of a patient's limits hold together. Single readings alert as they did: no value is
-- confirmed first, and nothing is expected at any time.
WITH held AS (
    SELECT patient_id, measure, valid, approved_by, approved_at,
           CASE WHEN measure IN ('systolic', 'diastolic') THEN 'blood_pressure' ELSE measure END
               AS family,
           jsonb_strip_nulls(jsonb_build_object(
               'red_low', red_low, 'yellow_low', yellow_low, 'yellow_high', yellow_high,
               'red_high', red_high)) AS limits
      FROM limit_set
     WHERE NOT isempty(valid) AND (upper(valid) IS NULL OR upper(valid) > clock_timestamp())
), grouped AS (
    SELECT patient_id, valid, gen_random_uuid() AS id, max(approved_at) AS approved_at,
           string_agg(DISTINCT approved_by, ', ') AS approved_by,
           row_number() OVER (PARTITION BY patient_id ORDER BY valid) AS number,
           coalesce(lower(valid), min(approved_at)) AS since,
           jsonb_object_agg(measure, limits) AS limits,
           jsonb_object_agg(family, '{"within_min": 0}'::jsonb) AS confirm,
           jsonb_agg(DISTINCT jsonb_build_object('family', family)) AS activities
      FROM held
     GROUP BY patient_id, valid
)
INSERT INTO plan (id, version, patient_id, care_unit_id, programme, status, valid, approved_by,
       approved_role, approved_at, written_by, written_at, reason, body)
SELECT g.id, 1, g.patient_id, p.care_unit_id,
       'limits' || CASE WHEN number > 1 THEN '-' || number ELSE '' END, 'active', g.valid,
       g.approved_by, 'clinician', g.approved_at, 'migration', clock_timestamp(),
       'limits of before there were plans',
       jsonb_strip_nulls(jsonb_build_object(
           'id', g.id, 'version', 1, 'patient_id', g.patient_id,
           'care_unit_id', p.care_unit_id,
           'programme', 'limits' || CASE WHEN number > 1 THEN '-' || number ELSE '' END,
           'status', 'active',
           'since', to_char(g.since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'until', to_char(upper(g.valid) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'approval', jsonb_build_object(
               'by', left(g.approved_by, 200), 'role', 'clinician',
               'at', to_char(g.approved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
           'activities', g.activities, 'limits', g.limits, 'confirm', g.confirm))::text
  FROM grouped g
  JOIN patient p ON p.id = g.patient_id;

GRANT SELECT ON plan, plan_template, care_unit_hours TO hemvital_ingest, hemvital_api;
-- Plans are written by persons' decisions, never by what takes in readings.
GRANT INSERT ON plan, plan_template TO hemvital_operator;
GRANT UPDATE (status, valid, approved_by, approved_role, approved_at, reason, replay, body,
              written_by, written_at, template_id, template_version) ON plan TO hemvital_operator;
