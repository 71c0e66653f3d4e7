"""Random deliveries, decisions and deaths: the database holds what the simple model holds.

A step is what the world can do at any moment: gateways deliver records in any order, again and
under other numbers; a worker dies in the middle of a batch, which is then delivered again; two
workers work at once; persons assign, reject, give to another and take back; clocks are corrected;
codecs are mended. After every sequence the database must equal the model.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import BloodPressure, Reading
from ingest_service.admission import decisions, door, replaying
from ingest_service.admission.decisions import DecisionError
from ingest_service.admission.door import admit
from ingest_service.admission.incoming import Incoming, take_apart
from ingest_service.store import quarantine
from ingest_service.store.quarantine import Ending
from tests.support.decisions import ANNA, BO, NURSE, by_nurse
from tests.support.ingest import CUFF, UNIT, Home, registered
from tests.support.model import Model, differences
from tests.support.services import Database

pytestmark = [pytest.mark.timescale, pytest.mark.timeout(600)]

STRANGER: Final = "cuff-9"  # registered by a step; until then its readings wait
_RECORDS: Final = 12
_EMPTIED: Final = (
    "delivery, gateway_epoch, device_record, identity, observation, observation_history,"
    " observation_change, quarantine, alert, alert_event, provenance"
)


@dataclass(slots=True)
class World:
    """A home whose records come and go, the database, and the model of it."""

    home: Home
    model: Model = field(default_factory=Model)
    records: list[ReadingRecord] = field(default_factory=list[ReadingRecord])
    sent: list[Incoming] = field(default_factory=list[Incoming])
    is_stranger_known: bool = False

    def __post_init__(self) -> None:
        for number in range(_RECORDS):
            device = (CUFF, "cuff-2", STRANGER)[number % 3]
            systolic = 190 + number if number % 4 == 0 else 120 + number
            self.records.append(
                self.home.cuff(
                    str(systolic),
                    "80",
                    ago=timedelta(seconds=60 + 30 * number),
                    device=device,
                    has_own_identity=number % 5 != 0,
                )
            )

    def owner(self, record: ReadingRecord) -> UUID | None:
        known: dict[str, UUID | None] = {CUFF: ANNA, "cuff-2": BO}
        return known.get(record.device.id, BO if self.is_stranger_known else None)

    def role(self) -> str:
        return self.home.database.dsn("hemvital_operator")

    # --- what gateways and workers do

    def message(self, chosen: Sequence[int]) -> Incoming:
        records = [self.records[each % _RECORDS] for each in dict.fromkeys(chosen)]
        message = self.home.message(*records)
        self.sent.append(message)
        for record in records:
            self.model.deliver(record, self.owner(record))
        return message

    async def admit(self, *messages: Incoming) -> None:
        entries = [entry for message in messages for entry in take_apart(message)]
        async with await AsyncConnection.connect(
            self.home.database.dsn("hemvital_ingest")
        ) as opened:
            await admit(opened, entries, now=self.home.now)

    async def deliver(self, chosen: Sequence[int]) -> None:
        await self.admit(self.message(chosen))

    async def redeliver(self, chosen: Sequence[int]) -> None:
        again = [self.sent[each % len(self.sent)] for each in chosen if self.sent]
        if again:
            await self.admit(*again)

    async def two_at_once(self, chosen: Sequence[int]) -> None:
        half = len(chosen) // 2
        first = self.message(chosen[: half + 1])
        second = self.message(chosen[half:])  # one record is in both
        async with asyncio.TaskGroup() as workers:
            workers.create_task(self.admit(first))
            workers.create_task(self.admit(second))

    async def die(self, chosen: Sequence[int]) -> None:
        """Let the database cut a worker off somewhere in its transaction; the broker repeats."""
        message = self.message(chosen)
        opened = await AsyncConnection.connect(self.home.database.dsn("hemvital_ingest"))
        try:
            working = asyncio.ensure_future(admit(opened, take_apart(message), now=self.home.now))
            await asyncio.sleep(chosen[0] % 7 * 0.003)
            with psycopg.connect(self.home.database.dsn(), autocommit=True) as owner:
                owner.execute("SELECT pg_terminate_backend(%s)", [opened.info.backend_pid])
            await asyncio.gather(working, return_exceptions=True)
        finally:
            await opened.close()
        await self.admit(message)

    async def correct(self, chosen: Sequence[int]) -> None:
        record_id = self.pick(chosen)
        if record_id is None or not self.model.held[record_id].is_valid:
            return
        held = self.model.held[record_id]
        is_red = held.systolic > 180
        back = timedelta(seconds=chosen[-1]) if is_red else timedelta(days=100, seconds=chosen[-1])
        better = self.home.now - back
        await self.admit(self.home.message(self.home.correction(record_id, better)))
        held.effective_at = better

    # --- what persons do

    def pick(self, chosen: Sequence[int]) -> UUID | None:
        ids = sorted(self.model.held)
        return ids[chosen[0] % len(ids)] if ids else None

    async def reassign(self, chosen: Sequence[int]) -> None:
        if (record_id := self.pick(chosen)) is None:
            return
        to = (ANNA, BO)[chosen[-1] % 2]
        is_news = self.model.reassign(record_id, to)
        async with await AsyncConnection.connect(self.role()) as opened:
            try:
                await decisions.reassign(opened, record_id, to, by_nurse(), now=self.home.now)
            except DecisionError:
                assert not is_news

    async def invalidate(self, chosen: Sequence[int]) -> None:
        if (record_id := self.pick(chosen)) is None:
            return
        was_valid = self.model.held[record_id].is_valid
        self.model.held[record_id].is_valid = False
        async with await AsyncConnection.connect(self.role()) as opened:
            try:
                await decisions.invalidate(opened, record_id, by_nurse(), now=self.home.now)
            except DecisionError:
                assert not was_valid

    async def _entry(self, opened: AsyncConnection[Any], record_id: UUID) -> int:
        cursor = await opened.execute(
            "SELECT id FROM quarantine WHERE record_id = %s AND resolved_at IS NULL", [record_id]
        )
        row = await cursor.fetchone()
        await opened.commit()
        assert row is not None
        return int(row[0])

    async def assign(self, chosen: Sequence[int]) -> None:
        waiting = sorted(self.model.waiting)
        device_is_known = self.is_stranger_known
        if not waiting or not device_is_known:
            return
        record = self.model.waiting[waiting[chosen[0] % len(waiting)]]
        to = (ANNA, BO)[chosen[-1] % 2]
        async with await AsyncConnection.connect(self.role()) as opened:
            entry = await self._entry(opened, record.record_id)
            await decisions.assign(opened, entry, to, by_nurse(), now=self.home.now)
        self.model.hold(record, to)

    async def let_in(self, _chosen: Sequence[int]) -> None:
        async with await AsyncConnection.connect(self.role()) as opened:
            ids = await quarantine.ids_waiting(opened, after=0, most=100)
            await opened.commit()
            await door.readmit(opened, ids, Ending("replayed", NURSE), now=self.home.now)
        for record in list(self.model.waiting.values()):
            if (owner := self.owner(record)) is not None:
                self.model.hold(record, owner)

    async def register(self, _chosen: Sequence[int]) -> None:
        if self.is_stranger_known:
            return
        self.is_stranger_known = True
        self.home.execute(
            "INSERT INTO device (id, resource_id, care_unit_id, kind)"
            " VALUES (%s, %s, %s, 'blood_pressure')",
            STRANGER,
            uuid4(),
            UNIT,
        )
        self.home.execute(
            "INSERT INTO assignment (id, device_id, patient_id, valid, decided_by)"
            " VALUES (%s, %s, %s, '[2020-01-01,)', 'a nurse')",
            uuid4(),
            STRANGER,
            BO,
        )

    async def mend_codec(self, chosen: Sequence[int]) -> None:
        """Read some stored records anew by a codec that gives another value."""
        more, ids = chosen[0] % 3, sorted(self.model.held)
        some = ids[: 1 + chosen[-1] % _RECORDS]
        if not some:
            return
        base = {each.record_id: each.reading for each in self.records}

        def decode(record: ReadingRecord) -> Reading:
            reading = base[record.record_id]
            assert isinstance(reading, BloodPressure)
            assert isinstance(reading.systolic, Decimal)
            return msgspec.structs.replace(reading, systolic=reading.systolic + more)

        async with await AsyncConnection.connect(self.role()) as opened:
            await replaying.replay(opened, some, decode, by_nurse("mended"), now=self.home.now)
        for record_id in some:
            reading = base[record_id]
            assert isinstance(reading, BloodPressure)
            self.model.held[record_id].systolic = int(str(reading.systolic)) + more

    def empty(self) -> None:
        self.home.execute(f"TRUNCATE {_EMPTIED} CASCADE")
        self.home.execute("DELETE FROM assignment WHERE device_id = %s", STRANGER)
        self.home.execute("DELETE FROM device WHERE id = %s", STRANGER)


_KINDS: Final[dict[str, Callable[[World, Sequence[int]], Any]]] = {
    "deliver": World.deliver,
    "deliver in another order": World.deliver,
    "redeliver": World.redeliver,
    "two workers at once": World.two_at_once,
    "a worker dies": World.die,
    "time correction": World.correct,
    "reassign": World.reassign,
    "invalidate": World.invalidate,
    "assign": World.assign,
    "let in what waits": World.let_in,
    "register the stranger's device": World.register,
    "mend the codec": World.mend_codec,
}
_STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(sorted(_KINDS)),
        st.lists(st.integers(0, 1000), min_size=2, max_size=6),
    ),
    min_size=6,
    max_size=30,
)


async def _drive(database: Database, steps: Sequence[tuple[str, list[int]]]) -> list[str]:
    world = World(Home(database=database))
    world.empty()
    for kind, chosen in steps:
        await _KINDS[kind](world, chosen)
    return differences(world.home, world.model)


def _holds(database: Database, examples: int) -> None:
    @seed(random.SystemRandom().randrange(2**32))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    @given(_STEPS)
    def check(steps: list[tuple[str, list[int]]]) -> None:
        assert asyncio.run(_drive(database, steps)) == []

    check()


def test_the_database_holds_what_the_model_holds(database: Database) -> None:
    asyncio.run(registered(database, patients=2))

    _holds(database, examples=25)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_database_holds_what_the_model_holds_for_long(database: Database) -> None:
    asyncio.run(registered(database, patients=2))

    _holds(database, examples=400)
