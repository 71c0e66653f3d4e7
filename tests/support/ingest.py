"""A registered home, and the messages that its gateway would send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import msgspec
import psycopg
from psycopg import AsyncConnection

from device_adapters.contract import identity
from device_adapters.contract.messages import (
    Delivery,
    Device,
    ReadingRecord,
    Reception,
    Record,
    TimeCorrection,
    TimeQuality,
    encode,
    encode_message,
)
from device_adapters.contract.readings import (
    NAN,
    BloodPressure,
    PressureUnit,
    PulseOximetry,
    Reading,
)
from ingest_service import registration
from ingest_service.admission.door import admit
from ingest_service.admission.incoming import Incoming, take_apart
from ingest_service.admission.outcome import Outcome
from ingest_service.registration import Registration
from tests.support import frames, plan_documents
from tests.support.services import Database

# Published test identities (Skatteverket); nobody has them.
IDENTITIES: Final = ("196101182803", "195009072553", "196109732393")

CUFF: Final = "F0:A1:00:00:00:01"
OXIMETER: Final = "F0:A1:00:00:00:02"
GATEWAY: Final = "gateway-1"
CUFF_CHARACTERISTIC: Final = "00002a35-0000-1000-8000-00805f9b34fb"
OXIMETER_CHARACTERISTIC: Final = "00002a5e-0000-1000-8000-00805f9b34fb"

_SPACE: Final = UUID("00000000-0000-4000-8000-000000000000")
UNIT: Final = uuid5(_SPACE, "unit")


def id_of(name: str) -> UUID:
    """Return the same made-up id for the same name."""
    return uuid5(_SPACE, name)


def document(patients: int = 1, limits: Sequence[dict[str, Any]] | None = None) -> Registration:
    """Return a home: a unit, a gateway, a cuff and an oximeter of the first patient.

    Further patients have a cuff each, ``cuff-2`` and so on. The limits are the issue's example.
    """
    given = limits if limits is not None else LIMITS
    return Registration.model_validate(
        {
            "care_providers": [
                {"id": id_of("p"), "hsa_id": "SE2321000016-0000", "name": "Region"}
            ],
            "care_units": [
                {
                    "id": UNIT,
                    "care_provider_id": id_of("p"),
                    "hsa_id": "SE2321000016-1003",
                    "name": "Unit",
                }
            ],
            "gateways": [{"id": GATEWAY, "care_unit_id": UNIT}],
            "patients": [
                {
                    "id": id_of(f"patient-{n}"),
                    "care_unit_id": UNIT,
                    "identifier": IDENTITIES[n - 1],
                    "family": f"Test {n}",
                    "given": "Person",
                }
                for n in range(1, patients + 1)
            ],
            "devices": [
                {"id": CUFF, "care_unit_id": UNIT, "kind": "blood_pressure"},
                {"id": OXIMETER, "care_unit_id": UNIT, "kind": "pulse_oximetry"},
                *(
                    {"id": f"cuff-{n}", "care_unit_id": UNIT, "kind": "blood_pressure"}
                    for n in range(2, patients + 1)
                ),
            ],
            "assignments": [
                {
                    "id": id_of(f"assignment-{device}"),
                    "device_id": device,
                    "patient_id": id_of(f"patient-{n}"),
                    "since": "2020-01-01T00:00:00Z",
                    "decided_by": "a nurse",
                }
                for device, n in [
                    (CUFF, 1),
                    (OXIMETER, 1),
                    *((f"cuff-{n}", n) for n in range(2, patients + 1)),
                ]
            ],
            "plans": [
                plan_documents.document(
                    id_of(f"patient-{n}"), UNIT, limits_of(given), id=str(id_of(f"plan-{n}"))
                )
                for n in range(1, patients + 1)
                if given
            ],
        }
    )


def limits_of(given: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return limits as a plan has them."""
    return {
        one["measure"]: {name: value for name, value in one.items() if name != "measure"}
        for one in given
    }


LIMITS: Final[list[dict[str, Any]]] = [
    {"measure": "systolic", "red_low": 90, "yellow_low": 100, "yellow_high": 160, "red_high": 180},
    {"measure": "diastolic", "yellow_high": 100, "red_high": 110},
    {"measure": "spo2", "red_low": 88, "yellow_low": 90},
    {"measure": "pulse", "red_low": 40, "red_high": 130},
]


@dataclass(slots=True, kw_only=True)
class Home:
    """A gateway that numbers what it sends, and the database that takes it."""

    database: Database
    epoch: UUID = field(default_factory=uuid4)
    gateway_id: str = GATEWAY
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    _number: int = 0
    _made: int = 0

    def cuff(
        self,
        systolic: str | None,
        diastolic: str | None = None,
        *,
        ago: timedelta = timedelta(0),
        device: str = CUFF,
        raw: bytes | None = None,
        has_own_identity: bool = True,
        status: int | None = None,
        unit: PressureUnit = PressureUnit.MMHG,
        pulse: str | None = None,
        user_index: int | None = None,
    ) -> ReadingRecord:
        """Return a blood pressure; without values an attempt that failed."""
        reading = BloodPressure(
            systolic=Decimal(systolic) if systolic else NAN,
            diastolic=Decimal(diastolic) if diastolic else NAN,
            mean=NAN,
            unit=unit,
            pulse_per_min=Decimal(pulse) if pulse else None,
            status=status,
            user_index=user_index,
        )
        return self.record(
            reading, ago=ago, device=device, raw=raw, has_own_identity=has_own_identity
        )

    def oximeter(
        self, spo2: str, *, ago: timedelta = timedelta(0), status: int | None = None,
        sensor_status: int | None = None, pulse: str = "80",
    ) -> ReadingRecord:  # fmt: skip
        """Return a spot check."""
        reading = PulseOximetry(
            spo2=Decimal(spo2),
            pulse_per_min=Decimal(pulse),
            status=status,
            sensor_status=sensor_status,
        )
        return self.record(reading, ago=ago, device=OXIMETER)

    def record(
        self,
        reading: Reading,
        *,
        ago: timedelta = timedelta(0),
        device: str = CUFF,
        raw: bytes | None = None,
        has_own_identity: bool = True,
    ) -> ReadingRecord:
        """Return a reading as the gateway would send it."""
        self._made += 1
        raw = raw if raw is not None else self._made.to_bytes(4, "little") + self.epoch.bytes
        is_cuff = not isinstance(reading, PulseOximetry)
        characteristic = CUFF_CHARACTERISTIC if is_cuff else OXIMETER_CHARACTERISTIC
        if has_own_identity:
            record_id = identity.of_device_record(device, 0, characteristic, raw)
        else:
            record_id = identity.of_gateway_number(self.epoch, self._made)
        return ReadingRecord(
            record_id=record_id,
            is_identity_own=has_own_identity,
            device=Device(id=device),
            reset_generation=0,
            adapter="blood-pressure-service",
            reception=Reception(
                characteristic=characteristic,
                raw=raw,
                received_at=self.now - ago,
                boot_id=self.epoch,
                monotonic_ns=self._made,
                is_clock_synchronised=True,
            ),
            effective_at=self.now - ago,
            time_quality=TimeQuality.CORRECTED,
            reading=reading,
            trace_id=uuid4().hex,
        )

    def correction(self, record_id: UUID, effective_at: datetime) -> TimeCorrection:
        """Return a better time for a record."""
        return TimeCorrection(
            record_id=record_id,
            effective_at=effective_at,
            time_quality=TimeQuality.SYNCHRONISED,
            reason="the gateway's clock was set",
            trace_id=uuid4().hex,
        )

    def message(self, *given: Record, first: int | None = None, schema: str = "1.0") -> Incoming:
        """Return a message that carries these records under the next numbers, or under given."""
        return self.raw_message(
            encode_message(self.now, [encode(record) for record in given]),
            first=first,
            count=len(given),
            schema=schema,
        )

    def raw_message(
        self, payload: bytes, *, first: int | None = None, count: int = 1, schema: str = "1.0"
    ) -> Incoming:
        """Return a message with this payload, whatever it is."""
        number = first if first is not None else self._number + 1
        self._number = max(self._number, number + count - 1)
        delivery = Delivery(epoch=self.epoch, first=number, count=count, schema=schema)
        return Incoming(
            gateway_id=self.gateway_id,
            properties=delivery.to_properties(),
            payload=payload,
            received_at=self.now,
        )

    async def send(self, *messages: Incoming) -> Outcome:
        """Admit these messages as one batch."""
        async with await AsyncConnection.connect(self.database.dsn("hemvital_ingest")) as opened:
            entries = [entry for message in messages for entry in take_apart(message)]
            return await admit(opened, entries, now=self.now)

    async def give(self, *given: Record) -> Outcome:
        """Admit these records, each in a message of its own, as one batch."""
        return await self.send(*(self.message(record) for record in given))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table's rows as the database shows them, with compressed texts readable.

        They are read as one would with a backup and nothing else: by zstd alone and the
        dictionaries that stand in the database.
        """
        query = f"SELECT to_jsonb(t)::text FROM {table} AS t"  # noqa: S608 tables of the tests
        with psycopg.connect(self.database.dsn()) as opened:
            found = opened.execute(query.encode()).fetchall()
            kept = frames.dictionaries(opened)
        rows = [msgspec.json.decode(text) for (text,) in found]
        for row in rows:
            if (body := row.get("body")) and body.startswith("\\x"):
                row["resource"] = frames.text_of(body, kept)
        return rows

    def count(self, what: str) -> int:
        """Return how many rows a table has, or those that follow its name and WHERE."""
        with psycopg.connect(self.database.dsn()) as opened:
            row = opened.execute(f"SELECT count(*) FROM {what}".encode()).fetchone()  # noqa: S608 as above
        return row[0] if row else 0

    def break_plan(self, measure: str = "systolic") -> None:
        """Let a plan in force hold a limit with which nothing can be compared."""
        with psycopg.connect(self.database.dsn()) as opened:
            opened.execute("ALTER TABLE plan DISABLE TRIGGER keep_approved")
            opened.execute(
                "UPDATE plan SET body = jsonb_set(body::jsonb,"
                " ARRAY['limits', %s, 'red_high'], '\"NaN\"')::text",
                [measure],
            )

    def execute(self, statement: str, *values: object) -> None:
        """Carry out one statement as the owner."""
        with psycopg.connect(self.database.dsn()) as opened:
            opened.execute(statement.encode(), values)


async def registered(
    database: Database, patients: int = 1, limits: Sequence[dict[str, Any]] | None = None
) -> Home:
    """Register a home and return it."""
    async with await AsyncConnection.connect(database.dsn()) as opened:
        await registration.register(opened, document(patients, limits), now=datetime.now(UTC))
    return Home(database=database)
