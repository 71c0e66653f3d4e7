"""A clinic in the database, arranged by SQL: what the read side is tested against."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

from ingest_service.store import texts
from tests.support import plan_documents

PERSONNUMMER: Final = "http://electronichealth.se/identifier/personnummer"
BLOOD_PRESSURE, PULSE, SPO2 = "85354-9", "8867-4", "2708-6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A care unit and the provider that it belongs to."""

    id: UUID
    provider_id: UUID
    hsa_id: str


class Clinic:
    """Writes rows as the owner of the database; each call is committed when it returns."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def unit(self, hsa_id: str = "SE2321000016-E101", name: str = "Hjärtmottagningen") -> Unit:
        """Add a care unit with a provider of its own."""
        unit = Unit(id=uuid4(), provider_id=uuid4(), hsa_id=hsa_id)
        self._execute(
            "INSERT INTO care_provider VALUES (%s, %s, 'Region Exempel')",
            [unit.provider_id, f"{hsa_id}-V"],
        )
        self._execute(
            "INSERT INTO care_unit VALUES (%s, %s, %s, %s)",
            [unit.id, unit.provider_id, hsa_id, name],
        )
        return unit

    def patient(
        self,
        unit: Unit,
        *,
        given: str = "Tolvan",
        family: str = "Tolvansson",
        number: str | None = None,
        gender: str = "male",
        is_protected: bool = False,
    ) -> UUID:
        """Add a patient; without a published test number, under a test identifier of our own."""
        patient_id = uuid4()
        system = PERSONNUMMER if number else "urn:hemvital:test"
        self._execute(
            "INSERT INTO patient (id, care_unit_id, identifier_system, identifier_value, family,"
            " given, birth_date, gender, programme, is_protected)"
            " VALUES (%s, %s, %s, %s, %s, %s, '1946-02-17', %s, 'hypertoni', %s)",
            [
                patient_id,
                unit.id,
                system,
                number or patient_id.hex[:12],
                family,
                given,
                gender,
                is_protected,
            ],
        )
        return patient_id

    def limits(self, patient_id: UUID, **measures: tuple[int | None, ...]) -> None:
        """Approve a plan with limits: measure=(red_low, yellow_low, yellow_high, red_high)."""
        with psycopg.connect(self.dsn) as connection:
            found = connection.execute(
                "SELECT care_unit_id FROM patient WHERE id = %s", [patient_id]
            ).fetchone()
        assert found
        names = ("red_low", "yellow_low", "yellow_high", "red_high")
        limits = {
            measure: {name: at for name, at in zip(names, bounds, strict=True) if at is not None}
            for measure, bounds in measures.items()
        }
        self.plan(plan_documents.document(patient_id, found[0], limits))

    def plan(self, document: Mapping[str, Any]) -> None:
        """Write a version of a plan, in force if it is active."""
        plan_documents.write(self.dsn, document)

    def observation(
        self,
        unit: Unit,
        patient_id: UUID,
        at: datetime,
        *,
        code: str = BLOOD_PRESSURE,
        values: Sequence[int] = (120, 80),
        stored_after: timedelta = timedelta(0),
        is_irregular: bool = False,
        resource: str | None = None,
        observation_id: UUID | None = None,
    ) -> UUID:
        """Store an observation; the resource text is spliced as it stands."""
        found = observation_id or uuid4()
        text = resource or json.dumps(
            {
                "resourceType": "Observation",
                "id": str(found),
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "subject": {"reference": f"Patient/{patient_id}"},
                "effectiveDateTime": at.isoformat(),
            }
        )
        columns = (values[0], None, None) if len(values) == 1 else (None, *values)
        self._execute("INSERT INTO identity VALUES (%s, %s, %s, NULL)", [found, uuid4(), at])
        self._execute(
            "INSERT INTO observation (id, record_id, care_provider_id, care_unit_id, patient_id,"
            " device_id, code, status, effective_at, time_quality, value, systolic, diastolic,"
            " is_irregular, last_updated, body)"
            " VALUES (%s, %s, %s, %s, %s, 'device', %s, 'final', %s, 'synchronised', %s, %s, %s,"
            " %s, %s, %s)",
            [
                found,
                uuid4(),
                unit.provider_id,
                unit.id,
                patient_id,
                code,
                at,
                *columns,
                is_irregular,
                at + stored_after,
                texts.body_of(text),
            ],
        )
        return found

    def alert(
        self,
        unit: Unit,
        patient_id: UUID,
        raised_at: datetime | None,
        *,
        rule: str = "limit.blood_pressure",
        priority: str = "red",
        state: str = "new",
        limits: Mapping[str, object] | None = None,
        readings: Sequence[Mapping[str, object]] = (),
        is_told: bool = False,
    ) -> UUID:
        """Raise an alert; with ``is_told`` in one transaction with its notification."""
        alert_id = uuid4()
        with psycopg.connect(self.dsn) as connection:
            connection.execute(
                "INSERT INTO alert (id, care_unit_id, patient_id, rule, rule_version, priority,"
                " state, raised_at, last_reading_at, limits, readings)"
                " VALUES (%s, %s, %s, %s, 1, %s, %s, %s, %s, %s, %s)",
                [
                    alert_id,
                    unit.id,
                    patient_id,
                    rule,
                    priority,
                    state,
                    raised_at,
                    raised_at,
                    json.dumps(limits or {}),
                    json.dumps(list(readings)),
                ],
            )
            if is_told:
                connection.execute("SELECT pg_notify('worklist', %s)", [str(unit.id)])
        return alert_id

    def red_pressure(self, unit: Unit, *, is_told: bool = False) -> UUID:
        """Raise an alert of two pressures, as the requirement's own example has them."""
        now = datetime.now(UTC)
        patient = self.patient(unit, number="196101182803", gender="female")
        self.limits(patient, systolic=(None, 100, 150, 180), diastolic=(None, 60, 90, 110))
        first, second = now - timedelta(minutes=6), now - timedelta(minutes=1)
        self.observation(unit, patient, first, values=(192, 118))
        self.observation(unit, patient, second, values=(188, 114), is_irregular=True)
        return self.alert(
            unit,
            patient,
            second,
            limits={"systolic": {"red_high": "180"}, "diastolic": {"red_high": "110"}},
            readings=[
                reading(first, BLOOD_PRESSURE, systolic="192", diastolic="118", unit="mm[Hg]"),
                reading(
                    second,
                    BLOOD_PRESSURE,
                    systolic="188",
                    diastolic="114",
                    unit="mm[Hg]",
                    flags=["irregular_pulse"],
                ),
            ],
            is_told=is_told,
        )

    def overdue(self, unit: Unit, due_at: datetime) -> None:
        """Let every open alert of the unit be due at that time."""
        self._execute(
            "UPDATE alert SET due_at = %s WHERE care_unit_id = %s AND state <> 'resolved'",
            [due_at, unit.id],
        )

    def quarantine(self, unit: Unit, received_at: datetime) -> None:
        """Put a reading of one of the unit's gateways into quarantine."""
        self._execute(
            "INSERT INTO quarantine (gateway_id, care_unit_id, reason, detail, payload,"
            " payload_size, received_at) VALUES ('gw', %s, 'unassigned', '', '', 0, %s)",
            [unit.id, received_at],
        )

    def frame(self, unit: Unit, patient_id: UUID, at: datetime, kind: str) -> None:
        """Store a record without a value: ``failed_attempt`` or ``unsupported_frame``."""
        self._execute(
            "INSERT INTO device_record (record_id, care_unit_id, patient_id, device_id,"
            " gateway_id, epoch, number, kind, is_identity_own, characteristic, raw, record,"
            " effective_at, time_quality, received_at, trace_id)"
            " VALUES (%s, %s, %s, 'device', 'gw', %s, 1, %s, true, '2a35', '', '', %s,"
            " 'synchronised', %s, 'trace')",
            [uuid4(), unit.id, patient_id, uuid4(), kind, at, at],
        )

    def client(self, client_id: str, *units: Unit, scopes: str) -> None:
        """Register an EHR system."""
        self._execute(
            "INSERT INTO api_client VALUES (%s, %s, %s, %s)",
            [client_id, client_id, [unit.id for unit in units], scopes],
        )

    def logged(self, trace_id: str) -> list[tuple[object, ...]]:
        """Return what the access log holds of one request: actor, kind, action, patients."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(
                "SELECT actor, actor_kind, action, patient_ids FROM access_log"
                " WHERE trace_id = %s",
                [trace_id],
            ).fetchall()

    def _execute(self, query: str, values: Sequence[object]) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute(query.encode(), values)


def reading(
    at: datetime, code: str, *, level: str = "red", flags: Sequence[str] = (), **values: str
) -> dict[str, object]:
    """Return one reading as an alert keeps it."""
    return {
        "observation_id": str(uuid4()),
        "code": code,
        "effective_at": at.isoformat(),
        "level": level,
        "flags": list(flags),
        **values,
    }
