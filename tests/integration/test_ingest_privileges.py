"""Least privilege: each service's role tries what it may not."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.services import Database

pytestmark = pytest.mark.timescale

_INGEST = "hemvital_ingest"
_API = "hemvital_api"
_OPERATOR = "hemvital_operator"
_JOBS = "hemvital_jobs"
_ENROLMENT = "hemvital_enrolment"
_REVOCATIONS = "hemvital_revocations"
_CANARY = "hemvital_canary"
_DOWNTIME = "hemvital_downtime"


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        # What a device sent, and what happened, nobody rewrites.
        (_INGEST, "UPDATE device_record SET raw = ''"),
        (_INGEST, "UPDATE device_record SET patient_id = gen_random_uuid()"),
        (_INGEST, "DELETE FROM device_record"),
        (_INGEST, "UPDATE observation SET resource = ''"),
        (_INGEST, "UPDATE observation SET body = ''"),
        (_INGEST, "UPDATE observation_change SET version = 2"),
        (_INGEST, "UPDATE text_dictionary SET content = ''"),
        (_INGEST, "DELETE FROM text_dictionary"),
        (_INGEST, "UPDATE observation_history SET resource = ''"),
        (_INGEST, "DELETE FROM observation_history"),
        (_INGEST, "UPDATE identity SET record_id = gen_random_uuid()"),
        (_INGEST, "UPDATE device_record SET is_invalid = true"),
        (_INGEST, "UPDATE provenance SET decided_by = 'x'"),
        (_INGEST, "DELETE FROM provenance"),
        (_INGEST, "UPDATE quarantine SET payload = ''"),
        # Whoever decides about readings changes whose they are, not what was read.
        (_OPERATOR, "UPDATE device_record SET raw = ''"),
        (_OPERATOR, "UPDATE quarantine SET payload = ''"),
        (_OPERATOR, "UPDATE provenance SET decided_by = 'x'"),
        (_OPERATOR, "UPDATE assignment SET patient_id = gen_random_uuid()"),
        (_OPERATOR, "UPDATE limit_set SET red_high = 300"),
        (_OPERATOR, "SELECT * FROM access_log"),
        (_INGEST, "UPDATE quarantine SET priority = NULL"),
        (_INGEST, "DELETE FROM quarantine"),
        (_INGEST, "UPDATE alert_event SET by = 'somebody'"),
        (_INGEST, "DELETE FROM alert"),
        (_INGEST, "DELETE FROM delivery"),
        (_INGEST, "UPDATE delivery SET digest = ''"),
        # Who is who, and who decided, ingest only reads.
        (_INGEST, "UPDATE patient SET family = 'x'"),
        (_INGEST, "UPDATE assignment SET patient_id = gen_random_uuid()"),
        (_INGEST, "UPDATE limit_set SET red_high = 300"),
        (_INGEST, "UPDATE plan SET body = ''"),
        (_INGEST, "DELETE FROM plan"),
        (_INGEST, "UPDATE device SET care_unit_id = gen_random_uuid()"),
        (_INGEST, "INSERT INTO gateway VALUES ('x', gen_random_uuid())"),
        (_INGEST, "UPDATE incarnation SET id = gen_random_uuid()"),
        (_INGEST, "SELECT * FROM web_session"),
        (_INGEST, "SELECT * FROM access_log"),
        (_INGEST, "SELECT * FROM procrastinate_jobs"),
        (_INGEST, "CREATE TABLE mine (id int)"),
        (_INGEST, "SELECT drop_chunks('observation', now())"),
        (_INGEST, "TRUNCATE observation"),
        # Who received what, the API writes; what they must hear, ingest; neither takes it back.
        (_INGEST, "INSERT INTO receiver (id, kind, name) VALUES ('x', 'pull', 'x')"),
        (_INGEST, "INSERT INTO receiver_patient VALUES ('x', gen_random_uuid())"),
        (_INGEST, "UPDATE receiver_news SET told_at = now()"),
        (_INGEST, "DELETE FROM receiver_news"),
        (_INGEST, "DELETE FROM receiver_patient"),
        (_API, "DELETE FROM receiver_patient"),
        (_API, "UPDATE receiver_patient SET first_at = now()"),
        (_API, "UPDATE receiver SET name = 'x'"),
        (_API, "DELETE FROM receiver_news"),
        (_API, "UPDATE receiver_news SET version = 0"),
        (_API, "INSERT INTO receiver_news SELECT * FROM receiver_news"),
        (_JOBS, "SELECT * FROM receiver_patient"),
        (_JOBS, "SELECT * FROM receiver_news"),
        # What is to be said stays as it was put; the jobs pass it on and see nobody.
        (_INGEST, "UPDATE message SET key = 'x'"),
        (_INGEST, "UPDATE message SET recipient = 'operator'"),
        (_INGEST, "DELETE FROM message"),
        (_INGEST, "SELECT * FROM notification_channel"),
        (_INGEST, "SELECT * FROM notification"),
        (_JOBS, "SELECT * FROM message"),
        (_JOBS, "SELECT patient_id FROM message"),
        (_JOBS, "UPDATE message SET state = 'waiting'"),
        (_JOBS, "UPDATE staff_message SET kind = 'x'"),
        (_JOBS, "UPDATE notification_channel SET address = 'x'"),
        (_JOBS, "INSERT INTO notification_channel SELECT * FROM notification_channel"),
        (_JOBS, "DELETE FROM notification"),
        (_JOBS, "UPDATE notification SET channel_id = 1"),
        (_OPERATOR, "UPDATE notification_channel SET address = 'x'"),
        (_OPERATOR, "DELETE FROM notification_channel"),
        (_OPERATOR, "UPDATE notification SET state = 'delivered'"),
        (_API, "SELECT * FROM message"),
        (_API, "SELECT * FROM notification_channel"),
        # Holds and destruction are the owner's.
        (_INGEST, "UPDATE legal_hold SET released_at = now()"),
        (_INGEST, "DELETE FROM patient"),
        (_INGEST, "INSERT INTO destroyed_record VALUES (gen_random_uuid())"),
        (_INGEST, "DELETE FROM destroyed_record"),
        (_INGEST, "SELECT * FROM destruction"),
        (_API, "SELECT * FROM legal_hold"),
        (_API, "SELECT * FROM destruction"),
        (_JOBS, "SELECT * FROM destroyed_record"),
        # The read side writes its sessions and its log, and cannot change the log.
        (_API, "INSERT INTO alert_event (alert_id, event, by) VALUES (gen_random_uuid(), '', '')"),
        (_API, "DELETE FROM observation"),
        (_API, "DELETE FROM observation_change"),
        (_API, "UPDATE quarantine SET resolved_at = now()"),
        (_API, "UPDATE access_log SET actor = 'x'"),
        (_API, "DELETE FROM access_log"),
        (_API, "UPDATE api_client SET is_revoked = false"),
        (_API, "SELECT * FROM delivery"),
        # The jobs see numbers and the schedule, and no value of anybody's.
        (_JOBS, "SELECT * FROM observation"),
        (_JOBS, "SELECT * FROM patient"),
        (_JOBS, "SELECT * FROM assignment"),
        (_JOBS, "SELECT payload FROM quarantine"),
        (_JOBS, "SELECT device_id FROM quarantine"),
        (_JOBS, "SELECT detail FROM quarantine"),
        (_JOBS, "SELECT gateway_id FROM quarantine"),
        (_JOBS, "SELECT * FROM quarantine"),
        (_JOBS, "SELECT * FROM device_record"),
        (_JOBS, "SELECT * FROM observation_change"),
        (_JOBS, "SELECT * FROM alert"),
        (_JOBS, "UPDATE gateway_epoch SET received = '{}'"),
        (_JOBS, "DELETE FROM gateway_epoch"),
        (_JOBS, "INSERT INTO untold_gateway (gateway_id) VALUES ('x')"),
        (_JOBS, "UPDATE quarantine SET resolved_at = now()"),
        (_JOBS, "SELECT * FROM access_log"),
        # What gateways say the jobs write; what they are told, the operator decides.
        (_JOBS, "SELECT serial FROM device"),
        (_JOBS, "SELECT patient_id FROM assignment"),
        (_JOBS, "SELECT decided_by FROM assignment"),
        (_JOBS, "UPDATE device SET gateway_id = NULL"),
        (_JOBS, "UPDATE gateway_event SET detail = ''"),
        (_JOBS, "UPDATE gateway_condition SET kind = ''"),
        (_JOBS, "DELETE FROM gateway_status"),
        (_JOBS, "UPDATE gateway_configuration SET content = '{}'"),
        (_JOBS, "DELETE FROM gateway_configuration"),
        (_INGEST, "INSERT INTO gateway_configuration SELECT * FROM gateway_configuration"),
        (_INGEST, "UPDATE gateway_status SET is_online = true"),
        (_INGEST, "DELETE FROM gateway_event"),
        (_OPERATOR, "UPDATE gateway_configuration SET decided_by = 'x'"),
        (_OPERATOR, "UPDATE gateway_status SET is_online = true"),
        (_API, "SELECT * FROM gateway_status"),
        # Enrolment knows gateways and no patient; what was issued and noted stays as it was.
        (_ENROLMENT, "SELECT * FROM patient"),
        (_ENROLMENT, "SELECT * FROM device"),
        (_ENROLMENT, "SELECT * FROM observation"),
        (_ENROLMENT, "INSERT INTO gateway VALUES ('x', gen_random_uuid())"),
        (_ENROLMENT, "UPDATE enrolment_code SET expires_at = now()"),
        (_ENROLMENT, "UPDATE gateway_certificate SET key_digest = ''"),
        (_ENROLMENT, "DELETE FROM gateway_certificate"),
        (_ENROLMENT, "UPDATE enrolment_event SET cause = NULL"),
        (_ENROLMENT, "DELETE FROM enrolment_event"),
        # Beside the broker: whom to refuse, and nothing to be enrolled with.
        (_REVOCATIONS, "SELECT * FROM gateway_certificate"),
        (_REVOCATIONS, "SELECT * FROM enrolment_code"),
        (_REVOCATIONS, "UPDATE revocation_list SET content = ''"),
        (_REVOCATIONS, "SELECT * FROM gateway"),
        # Of the canary the jobs learn when, and what is old of it they may let go, and no more.
        (_JOBS, "SELECT name FROM care_unit"),
        (_JOBS, "DELETE FROM observation"),
        (_JOBS, "DELETE FROM device_record"),
        (_JOBS, "DELETE FROM incident"),
        (_JOBS, "UPDATE incident SET began_at = now()"),
        (_JOBS, "UPDATE incident_event SET away = 0"),
        (_INGEST, "SELECT canary_prune(now(), now(), 1)"),
        (_API, "SELECT canary_seen(now())"),
        (_API, "UPDATE incident SET ended_at = now()"),
        (_CANARY, "SELECT canary_prune(now(), now(), 1)"),
        (_CANARY, "SELECT * FROM patient"),
        (_CANARY, "SELECT * FROM observation"),
        (_CANARY, "SELECT * FROM gateway"),
        (_CANARY, "INSERT INTO canary_pass VALUES (now(), now(), now())"),
        (_CANARY, "DELETE FROM incident"),
        # Whoever writes the downtime list reads whom to phone, and changes nothing.
        (_DOWNTIME, "SELECT body FROM observation"),
        (_DOWNTIME, "SELECT readings FROM alert"),
        (_DOWNTIME, "SELECT * FROM device_record"),
        (_DOWNTIME, "SELECT * FROM access_log"),
        (_DOWNTIME, "UPDATE patient SET family = 'x'"),
        (
            _DOWNTIME,
            "UPDATE alert SET state = 'resolved'",
        ),
        (_DOWNTIME, "DELETE FROM limit_set"),
        (_INGEST, "SELECT * FROM enrolment_code"),
        (_API, "SELECT * FROM enrolment_code"),
        (_API, "SELECT * FROM gateway_certificate"),
    ],
)
def test_a_role_may_not(database: Database, role: str, statement: str) -> None:
    with (
        psycopg.connect(database.dsn(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
