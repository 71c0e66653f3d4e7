"""Days of patients at home and nurses at work, through the doors that readings and persons use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

import msgspec
from psycopg import AsyncConnection

from device_adapters.contract.messages import ReadingRecord, Record
from ingest_service.admission import actions, answers, comparing, decisions
from ingest_service.admission.comparing import Compared
from ingest_service.admission.differences import Difference
from ingest_service.admission.passing import pass_time
from ingest_service.admission.revising import Decision
from ingest_service.alerts import life
from ingest_service.alerts.actions import Action
from ingest_service.alerts.refusals import ActionError
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    AverageAbove,
    Baseline,
    ChangeOverDays,
    FailedAttempts,
    Missed,
    Plan,
    Side,
    Silence,
    Sustained,
    Symptom,
)
from ingest_service.store.callers import Caller
from tests.support import plans
from tests.support.ingest import CUFF, UNIT, Home, id_of, registered
from tests.support.services import Database

#: A Monday in winter: Europe/Stockholm is an hour ahead, the unit is open from 7 to 15 UTC.
MONDAY: Final = datetime(2026, 2, 2, tzinfo=UTC)
#: A Sunday, when the second patient begins to measure for a week.
COURSE: Final = date(2026, 2, 8)
FIRST, SECOND = id_of("patient-1"), id_of("patient-2")
NURSES: Final = ("SE2321000016-1001", "SE2321000016-1002", "SE2321000016-1003")


def at(hour: int, minute: int = 0, *, day: int = 0, second: int = 0) -> datetime:
    """Return a time of that Monday, or of a day after it, in UTC."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute, seconds=second)


def _limits(*bounds: str | None) -> Limits:
    red_low, yellow_low, yellow_high, red_high = (
        None if each is None else Decimal(each) for each in bounds
    )
    return Limits(
        red_low=red_low, yellow_low=yellow_low, yellow_high=yellow_high, red_high=red_high
    )


PRESSURE: Final = {
    Measure.SYSTOLIC: _limits("90", "100", "150", "180"),
    Measure.DIASTOLIC: _limits(None, None, "95", "110"),
    Measure.PULSE: _limits("40", None, "110", "130"),
}


def full_copd(patient_id: UUID = FIRST) -> Plan:
    """Return a COPD plan with a rule of every kind."""
    both = (plans.MORNING, plans.EVENING)
    own = plans.copd(patient_id).limits
    return plans.copd(
        patient_id,
        since=at(0),
        activities=(
            Activity(family=Family.SPO2, windows=both),
            Activity(family=Family.BLOOD_PRESSURE),
        ),
        limits={**own, **PRESSURE},
        rules=(
            Missed(),
            Silence(),
            FailedAttempts(),
            Sustained(id="low", measure=Measure.SPO2, side=Side.LOW, count=2, of=3),
            Baseline(
                id="usual", measure=Measure.SPO2, side=Side.LOW, distance=Decimal(4), fewest=4
            ),
            ChangeOverDays(id="weight", measure=Measure.BODY_WEIGHT, days=3, rise=Decimal(2)),
            Symptom(id="breath", question="breath", at_least=Decimal(3), beyond=Measure.SPO2),
        ),
    )


def hypertension(patient_id: UUID = SECOND) -> Plan:
    """Return a plan for blood pressure twice a day, averaged over a week and day by day."""
    return plans.copd(
        patient_id,
        since=at(0),
        programme="hypertension",
        activities=(
            Activity(
                family=Family.BLOOD_PRESSURE,
                windows=(plans.MORNING, plans.EVENING),
                protocol="esh-2021",
                course_start=COURSE,
            ),
            Activity(family=Family.BLOOD_PRESSURE, protocol="jch-2018"),
        ),
        limits=PRESSURE,
        rules=(
            Missed(),
            Silence(),
            AverageAbove(id="home", limits={Measure.SYSTOLIC: _limits(None, None, "134", None)}),
        ),
    )


@dataclass(slots=True, kw_only=True)
class Days:
    """A home, and all that happens to it; each step is a transaction of its own."""

    home: Home
    refused: int = 0
    records: list[ReadingRecord] = field(default_factory=list[ReadingRecord])

    async def spo2(
        self, when: datetime, *values: str, pulse: str = "80", sensor: int | None = None
    ) -> list[ReadingRecord]:
        """Let saturations come at once, a minute between them; ``sensor`` says what it doubts."""
        self.home.now = when
        count = len(values)
        made = [
            self.home.oximeter(
                value,
                pulse=pulse,
                sensor_status=sensor,
                ago=timedelta(minutes=count - 1 - number),
            )
            for number, value in enumerate(values)
        ]
        return await self._give(made)

    async def late(self, when: datetime, values: Sequence[tuple[str, timedelta]]) -> None:
        """Let a gateway send what it has kept."""
        self.home.now = when
        await self._give([self.home.oximeter(value, ago=ago) for value, ago in values])

    async def cuff(
        self,
        when: datetime,
        systolic: str | None,
        diastolic: str | None = None,
        *,
        device: str | None = None,
        status: int | None = None,
        pulse: str | None = None,
    ) -> ReadingRecord:
        """Let a pressure come, or a failed attempt."""
        self.home.now = when
        record = self.home.cuff(
            systolic, diastolic, status=status, pulse=pulse, device=device or CUFF
        )
        await self._give([record])
        return record

    async def sitting(self, when: datetime, *pressures: str) -> list[ReadingRecord]:
        """Let the second patient measure, two minutes between; each comes when it is measured."""
        return [
            await self.cuff(when + timedelta(minutes=2 * number), one, "84", device="cuff-2")
            for number, one in enumerate(pressures)
        ]

    async def _give(self, made: list[ReadingRecord]) -> list[ReadingRecord]:
        self.records += made
        await self.home.give(*made)
        return made

    async def give(self, when: datetime, *records: Record) -> None:
        """Let anything come."""
        self.home.now = when
        await self.home.give(*records)

    async def tick(self, now: datetime) -> None:
        """Let the clock look who is due."""
        async with await AsyncConnection.connect(self._dsn("hemvital_ingest")) as opened:
            await pass_time(opened, now=now, most=100)

    async def do(
        self, when: datetime, action: Action, *, by: str = NURSES[0], rule: str = "limit.spo2"
    ) -> bool:
        """Let a nurse do something to the newest alert of a rule; tells whether it was done."""
        found = [row for row in self.home.rows("alert") if row["rule"] == rule]
        if not found:
            return False
        newest = max(found, key=lambda row: (row["state"] != "resolved", row["state_at"]))
        async with await AsyncConnection.connect(self._dsn("hemvital_api")) as opened:
            try:
                await actions.act(
                    opened, caller(by), UUID(newest["id"]), action, action_id=uuid4(), now=when
                )
            except ActionError:
                self.refused += 1
                return False
        return True

    async def sign_out(self, when: datetime, owner: str) -> int:
        """Let what a nurse owns be nobody's."""
        async with await AsyncConnection.connect(self._dsn("hemvital_ingest")) as opened:
            return await actions.unassign_owner(opened, owner, life.SIGNED_OUT, now=when)

    async def hand_over(self, when: datetime, owner: str, to: str) -> int:
        """Let a unit's lead give all that a nurse owns to another."""
        async with await AsyncConnection.connect(self._dsn("hemvital_api")) as opened:
            return await actions.reassign_owner(
                opened, caller("SE2321000016-1009"), owner, to, "ill", now=when
            )

    async def answer(self, when: datetime, number: int, *, ago: timedelta = timedelta(0)) -> None:
        """Let the first patient say how breathless they are."""
        resource = {
            "resourceType": "QuestionnaireResponse",
            "id": str(uuid4()),
            "questionnaire": "urn:test:breath",
            "status": "completed",
            "authored": when - ago,
            "item": [{"linkId": "breath", "answer": [{"valueInteger": number}]}],
        }
        async with await AsyncConnection.connect(self._dsn("hemvital_ingest")) as opened:
            await answers.admit(opened, FIRST, msgspec.json.encode(resource), now=when)

    async def invalidate(self, when: datetime, record: ReadingRecord) -> None:
        """Let a person take a reading back."""
        async with await AsyncConnection.connect(self._dsn("hemvital_operator")) as opened:
            await decisions.invalidate(opened, record.record_id, _decision(), now=when)

    async def reassign(self, when: datetime, record: ReadingRecord, to: UUID = SECOND) -> None:
        """Let a person give a reading to another patient."""
        async with await AsyncConnection.connect(self._dsn("hemvital_operator")) as opened:
            await decisions.reassign(opened, record.record_id, to, _decision(), now=when)

    async def rejudged(self, only: UUID | None = None) -> tuple[list[Difference], Compared]:
        """Return what is stored otherwise than it follows, and what was compared."""
        total = Compared()
        async with await AsyncConnection.connect(self._dsn("hemvital_ingest")) as opened:
            found = [one async for one in comparing.every(opened, total, only=only)]
        return found, total

    def _dsn(self, role: str) -> str:
        return self.home.database.dsn(role)


async def two_patients(database: Database) -> Days:
    """Register two patients with plans, one of them with a rule of every kind."""
    home = await registered(database, patients=2, limits=[])
    plans.put(database, full_copd())
    plans.put(database, hypertension())
    return Days(home=home)


def caller(hsa_id: str) -> Caller:
    """Return somebody who works at the unit."""
    return Caller(
        actor=hsa_id,
        kind="staff",
        care_unit_ids=(UNIT,),
        trace_id="0" * 32,
        purpose="Vård och behandling",
    )


def _decision() -> Decision:
    return Decision(change_id=uuid4(), by=NURSES[0], why="said by telephone")
