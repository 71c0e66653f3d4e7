-- A patient that is nobody, by whose readings every part shows that it works; and incidents.
-- depends: 0016-messages

-- Who is nobody lives in a unit that is none, and in no other: one is told by the other.
ALTER TABLE care_unit ADD COLUMN is_synthetic boolean NOT NULL DEFAULT false,
                      ADD UNIQUE (id, is_synthetic);
ALTER TABLE patient ADD COLUMN is_synthetic boolean NOT NULL DEFAULT false,
      ADD FOREIGN KEY (care_unit_id, is_synthetic) REFERENCES care_unit (id, is_synthetic),
      ADD CHECK (NOT is_synthetic OR identifier_system = 'urn:hemvital:sid:test-person');
CREATE INDEX patient_synthetic ON patient (id) WHERE is_synthetic;

-- What everybody reads is bounded by their units. So nobody signs in there, and no system is
-- registered there, whatever a provider's claims say.
CREATE FUNCTION refuse_synthetic_unit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named uuid[];
BEGIN
    IF TG_TABLE_NAME = 'api_client' THEN
        named := NEW.care_unit_ids;
    ELSE
        named := ARRAY[NEW.care_unit_id];
    END IF;
    IF EXISTS (SELECT FROM care_unit WHERE is_synthetic AND id = ANY (named)) THEN
        RAISE EXCEPTION 'the canary''s unit is nobody''s to look into'
              USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_synthetic_unit BEFORE INSERT OR UPDATE OF care_unit_id ON web_session
   FOR EACH ROW EXECUTE FUNCTION refuse_synthetic_unit();
CREATE TRIGGER refuse_synthetic_unit BEFORE INSERT OR UPDATE OF care_unit_ids ON api_client
   FOR EACH ROW EXECUTE FUNCTION refuse_synthetic_unit();

-- The canary's device measures nobody, and nobody's device the canary.
CREATE FUNCTION refuse_mixed_assignment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT u.is_synthetic FROM device d JOIN care_unit u ON u.id = d.care_unit_id
         WHERE d.id = NEW.device_id)
       <> (SELECT p.is_synthetic FROM patient p WHERE p.id = NEW.patient_id) THEN
        RAISE EXCEPTION 'a device of the canary is no patient''s, and none of a patient the canary''s'
              USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_mixed_assignment BEFORE INSERT OR UPDATE OF device_id, patient_id ON assignment
   FOR EACH ROW EXECUTE FUNCTION refuse_mixed_assignment();

-- Nothing is said about nobody, to nobody: what rules want to say of the canary ends here.
CREATE FUNCTION skip_nobody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM patient WHERE is_synthetic AND id = NEW.patient_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER skip_nobody BEFORE INSERT ON message
   FOR EACH ROW WHEN (NEW.patient_id IS NOT NULL) EXECUTE FUNCTION skip_nobody();

-- What the jobs saw of the canary each minute: up to when its readings are stored, and judged.
-- The newest row tells all; neither time ever goes back.
CREATE TABLE canary_pass (
    at        timestamptz PRIMARY KEY,
    stored_to timestamptz,
    judged_to timestamptz
);

-- The jobs see no patient; of the one that is nobody they may learn this and no more. A reading
-- counts from when it was measured, and not from later than it came: a clock that runs ahead must
-- not make the canary look younger than it is.
CREATE FUNCTION canary_seen(since timestamptz, OUT stored_to timestamptz, OUT judged_to timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
WITH nobody AS MATERIALIZED (
    SELECT id FROM patient WHERE is_synthetic
), evidence AS MATERIALIZED (
    SELECT (reading->>'observation_id')::uuid AS id
      FROM nobody
      JOIN alert a ON a.patient_id = nobody.id
     CROSS JOIN LATERAL jsonb_array_elements(a.readings) AS reading
     WHERE a.last_reading_at >= since AND a.rule <> 'could_not_judge'
)
SELECT (SELECT max(least(r.effective_at, r.stored_at))
          FROM nobody JOIN device_record r ON r.patient_id = nobody.id
         WHERE r.effective_at >= since),
       (SELECT max(least(r.effective_at, r.stored_at))
          FROM evidence JOIN identity i ON i.id = evidence.id
          JOIN device_record r ON r.record_id = i.record_id)
$$;

-- What is older goes, of nobody and of nobody else: the jobs may do this, and delete no reading
-- otherwise. An alert goes with whatever refers to it, so that the next one is raised anew.
CREATE FUNCTION canary_prune(before timestamptz, alerts_before timestamptz, most integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    nobody      uuid[];
    units       uuid[];
    gateways    text[];
    records     uuid[];
    observed    uuid[];
    since       timestamptz;
    until       timestamptz;
    old_alerts  uuid[];
    referring   record;
BEGIN
    nobody := ARRAY(SELECT id FROM patient WHERE is_synthetic ORDER BY id FOR UPDATE);
    units := ARRAY(SELECT id FROM care_unit WHERE is_synthetic);
    gateways := ARRAY(SELECT id FROM gateway WHERE care_unit_id = ANY (units));
    records := ARRAY(SELECT record_id FROM device_record
                      WHERE patient_id = ANY (nobody) AND effective_at < before
                      ORDER BY effective_at LIMIT most);
    observed := ARRAY(SELECT id FROM identity WHERE record_id = ANY (records));
    SELECT min(effective_at), max(effective_at) INTO since, until
      FROM identity WHERE id = ANY (observed);

    -- What the canary's gateway brought of somebody else's is somebody else's.
    DELETE FROM delivery d
     WHERE d.gateway_id = ANY (gateways) AND d.received_at < before
       AND NOT EXISTS (SELECT FROM device_record r
                        WHERE r.record_id = d.record_id AND r.record_id <> ALL (records));
    DELETE FROM quarantine q
     WHERE q.gateway_id = ANY (gateways) AND q.received_at < before
       AND NOT EXISTS (SELECT FROM device d
                        WHERE d.id = q.device_id AND d.care_unit_id <> ALL (units));
    DELETE FROM device_record WHERE record_id = ANY (records) AND patient_id = ANY (nobody);
    DELETE FROM identity WHERE id = ANY (observed);
    DELETE FROM observation
     WHERE id = ANY (observed) AND patient_id = ANY (nobody)
       AND effective_at BETWEEN since AND until;
    DELETE FROM observation_change
     WHERE care_unit_id = ANY (units) AND patient_id = ANY (nobody) AND last_updated < before;
    DELETE FROM observation_history WHERE id = ANY (observed);
    DELETE FROM provenance WHERE patient_id = ANY (nobody) AND recorded < before;

    old_alerts := ARRAY(SELECT id FROM alert
                         WHERE patient_id = ANY (nobody) AND raised_at < alerts_before
                         ORDER BY id FOR UPDATE);
    FOR referring IN
        SELECT c.conrelid::regclass AS name, a.attname AS part
          FROM pg_constraint c
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
         WHERE c.contype = 'f' AND c.confrelid = 'alert'::regclass
         ORDER BY c.conrelid::regclass::text
    LOOP
        EXECUTE format('DELETE FROM %s WHERE %I = ANY ($1)', referring.name, referring.part)
          USING old_alerts;
    END LOOP;
    DELETE FROM alert WHERE id = ANY (old_alerts);
    DELETE FROM gateway_epoch WHERE gateway_id = ANY (gateways) AND last_at < before;
    RETURN cardinality(records);
END $$;

REVOKE ALL ON FUNCTION canary_seen, canary_prune FROM PUBLIC;
GRANT EXECUTE ON FUNCTION canary_seen, canary_prune TO hemvital_jobs;
GRANT SELECT, INSERT, UPDATE (stored_to, judged_to), DELETE ON canary_pass TO hemvital_jobs;
GRANT SELECT ON canary_pass TO hemvital_ingest, hemvital_api, hemvital_canary;
GRANT SELECT (id, is_synthetic) ON care_unit TO hemvital_jobs;

-- What stands between many patients and us, as one thing. kind: chain (our own parts, as the jobs
-- see them), gateways (many at once) or canary (as the canary's process sees us); care_unit_id is absent where it is not one unit's. began_at: when the
-- first part fell silent; opened_at: when that was noticed; calm_since: since when little is left
-- of it. Without ended_at it stands.
CREATE TABLE incident (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('chain', 'gateways', 'canary')),
    cause        text NOT NULL,
    care_unit_id uuid REFERENCES care_unit,
    began_at     timestamptz NOT NULL,
    opened_at    timestamptz NOT NULL,
    most         integer NOT NULL DEFAULT 0,  -- gateways away at once
    calm_since   timestamptz,
    ended_at     timestamptz,
    merged_into  uuid REFERENCES incident
);
CREATE UNIQUE INDEX incident_open ON incident (kind, care_unit_id) NULLS NOT DISTINCT
 WHERE ended_at IS NULL;
CREATE INDEX ON incident (ended_at);

CREATE TABLE incident_gateway (
    incident_id uuid NOT NULL REFERENCES incident,
    gateway_id  text NOT NULL REFERENCES gateway,
    away_since  timestamptz NOT NULL,
    back_at     timestamptz,
    PRIMARY KEY (incident_id, gateway_id)
);

-- How it grew and shrank; nothing here is ever changed.
CREATE TABLE incident_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id uuid NOT NULL REFERENCES incident,
    at          timestamptz NOT NULL,
    event       text NOT NULL CHECK (event IN
                ('opened', 'grown', 'shrunk', 'changed', 'ended', 'merged')),
    cause       text NOT NULL,
    away        integer NOT NULL,
    affected    integer NOT NULL
);
CREATE INDEX ON incident_event (incident_id, id);

-- The canary's process opens and ends what the jobs may be too dead to; it knows of no gateway.
GRANT SELECT, INSERT, UPDATE (cause, most, calm_since, ended_at, merged_into) ON incident
   TO hemvital_jobs;
GRANT SELECT, INSERT, UPDATE (away_since, back_at) ON incident_gateway TO hemvital_jobs;
GRANT SELECT, INSERT ON incident_event TO hemvital_jobs;
GRANT SELECT, INSERT, UPDATE (cause, most, calm_since, ended_at) ON incident TO hemvital_canary;
GRANT INSERT ON incident_event TO hemvital_canary;
GRANT SELECT ON incident_gateway TO hemvital_canary;
GRANT SELECT ON incident, incident_gateway, incident_event
   TO hemvital_ingest, hemvital_api, hemvital_downtime;

-- Whoever writes the downtime list reads whom to phone and why, and can change nothing.
GRANT SELECT (id, hsa_id, name, is_synthetic) ON care_unit TO hemvital_downtime;
GRANT SELECT (id, care_unit_id, identifier_system, identifier_value, family, given, programme,
              is_protected, is_synthetic)
   ON patient TO hemvital_downtime;
GRANT SELECT (patient_id, care_unit_id, rule, priority, state, raised_at) ON alert
   TO hemvital_downtime;
GRANT SELECT ON plan TO hemvital_downtime;
GRANT SELECT (id, patient_id, care_unit_id, code, status, effective_at, value, systolic, diastolic)
   ON observation TO hemvital_downtime;
