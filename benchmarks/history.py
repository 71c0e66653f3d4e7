"""Ten years of readings as the database would hold them, made quickly and true in size.

A few hundred readings go through mapping and admission's own row builders; what differs from one
reading to the next (ids, times, whose it is) is then put in by formatting text, which costs a
fiftieth of mapping. So the rows have the size and the shape of real ones, and as many different
ids.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import merge
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from benchmarks import load
from device_adapters.contract.messages import ReadingRecord, encode
from device_adapters.contract.readings import BloodPressure, PulseOximetry
from fhir_mappings import identifiers
from ingest_service.admission import writing
from ingest_service.admission.incoming import Entry
from ingest_service.store.deliveries import DeliveryRow
from ingest_service.store.patients import Patient

SPAN: Final = timedelta(days=3650)
TABLES: Final = ("observation", "identity", "device_record", "delivery")
ROWS_EACH: Final = 2  # observations of a reading: pressure and pulse, or saturation and pulse

_TEMPLATES: Final = 300
_OXIMETER_EVERY: Final = 3
_STORED_AFTER: Final = timedelta(seconds=3)

# A reading of nobody, at no time: each of its marks is found in the text again and replaced.
_AT, _STORED = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2002, 3, 4, 5, 6, 7, tzinfo=UTC)
_PATIENT, _UNIT, _PROVIDER, _EPOCH = (UUID(int=0xFEED << 96 | number) for number in range(1, 5))
_DEVICE, _GATEWAY, _NUMBER = "FF:EE:DD:00:00:01", "gateway-of-nobody", 987_654_321


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A patient with a cuff and an oximeter, and the gateway that both are heard by."""

    patient_id: UUID
    unit_id: UUID
    provider_id: UUID
    cuff: str
    oximeter: str
    gateway_id: str
    epoch: UUID

    def marks(self, device_id: str) -> dict[str, str]:
        """Return what stands in every row of one of the devices."""
        return {
            "patient": str(self.patient_id),
            "unit": str(self.unit_id),
            "provider": str(self.provider_id),
            "device": device_id,
            "address": device_id.replace(":", ""),
            "device_resource": str(identifiers.device_resource_id(device_id)),
            "gateway": self.gateway_id,
            "gateway_resource": str(identifiers.gateway_resource_id(self.gateway_id)),
            "epoch": str(self.epoch),
        }


@dataclass(slots=True)
class Rows:
    """Lines of PostgreSQL's COPY text format, by table, and which columns they have."""

    columns: Mapping[str, Sequence[str]]
    lines: dict[str, list[str]] = field(
        default_factory=lambda: {table: list[str]() for table in TABLES}
    )
    observation_ids: list[UUID] = field(default_factory=list[UUID])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    lines: Sequence[tuple[str, str]]  # table, line
    record: str
    observations: int


class History:
    """Makes rows of readings; two of the same seed make the same."""

    def __init__(self, people: Sequence[Person], *, seed: int = 1) -> None:
        self._random = Random(seed)  # noqa: S311 - load, not a secret
        self._columns: dict[str, Sequence[str]] = {}
        kinds = [self._template(is_oximeter=is_oximeter) for is_oximeter in (False, True)
                 for _ in range(_TEMPLATES // 2)]  # fmt: skip
        self._templates = kinds[: len(kinds) // 2], kinds[len(kinds) // 2 :]
        self._marks = [(each.marks(each.cuff), each.marks(each.oximeter)) for each in people]
        self._numbers = itertools.count(1)
        self._readings_of = [0] * len(people)

    def rows(self) -> Rows:
        """Return an empty batch."""
        return Rows(self._columns)

    def add(self, rows: Rows, person: int, at: datetime) -> None:
        """Add one reading of a person: mostly of the cuff, each third one of the oximeter."""
        self._readings_of[person] += 1
        is_oximeter = self._readings_of[person] % _OXIMETER_EVERY == 0
        template = self._random.choice(self._templates[is_oximeter])
        bits = self._random.getrandbits
        moment, stored = at.isoformat(), (at + _STORED_AFTER).isoformat()
        marks = self._marks[person][is_oximeter] | {
            "record_id": _uuid(bits(128)),
            "at": moment,
            "at_z": f"{moment[:-6]}Z",
            "stored": stored,
            "number": str(next(self._numbers)),
            "seconds": str(bits(29) + 1_000_000_000),
            "trace": f"{bits(128):032x}",
        }
        ids = [_uuid(bits(128)) for _ in range(template.observations)]
        marks |= {f"id_{place}": each for place, each in enumerate(ids)}
        marks["record"] = (template.record % marks).encode().hex()
        rows.observation_ids.append(UUID(ids[0]))
        for table, line in template.lines:
            rows.lines[table].append(line % marks)

    def _template(self, *, is_oximeter: bool) -> _Template:
        record = load.cuff_reading(_DEVICE, _AT, _EPOCH, self._random)
        if is_oximeter and isinstance(record.reading, BloodPressure):
            reading = PulseOximetry(
                spo2=Decimal(self._random.randint(92, 99)),
                pulse_per_min=Decimal(self._random.randint(55, 85)),
                device_time=record.reading.device_time,
            )
            record = msgspec.structs.replace(record, reading=reading)
        patient = Patient(_PATIENT, _UNIT, _PROVIDER)
        mapped = writing.observations_of(record, patient, gateway_id=_GATEWAY, now=_STORED)
        encoded = encode(record)
        entry = Entry(gateway_id=_GATEWAY, epoch=_EPOCH, number=_NUMBER, encoded=encoded)
        delivery = DeliveryRow(
            gateway_id=_GATEWAY,
            epoch=_EPOCH,
            number=_NUMBER,
            digest=self._random.randbytes(16),
            outcome="stored",
            record_id=record.record_id,
        )
        kept = writing.record_row(record, encoded, patient, entry, is_suspected_double=False)
        given: list[tuple[str, msgspec.Struct]] = [
            *(("observation", row) for row in
              writing.observation_rows(record, mapped, patient, now=_STORED)),
            *(("identity", row) for row in writing.identity_rows(record, mapped)),
            ("device_record", kept),
            ("delivery", delivery),
        ]  # fmt: skip
        marks = _marks(record, [(one.id, one.phd_identifier) for one in mapped])
        lines = [(table, _marked(self._line(table, row), marks)) for table, row in given]
        return _Template(
            lines=lines, record=_marked(encoded.decode(), marks), observations=len(mapped)
        )

    def _line(self, table: str, row: msgspec.Struct) -> str:
        values = msgspec.structs.asdict(row)
        self._columns.setdefault(table, list(values))
        return "\t".join(_field(name, value) for name, value in values.items()) + "\n"


def schedule(
    start: datetime, readings: int, people: int, probes: int, probe_readings: int
) -> Iterator[tuple[datetime, int]]:
    """Yield when who measures, in the order of time, spread evenly over the ten years.

    The first ``probes`` people measure ``probe_readings`` times each, however many readings there
    are in all: what is asked about them has an answer of the same size, and only what lies around
    it grows. The others share the rest.
    """
    others = people - probes
    return merge(
        _evenly(start, probes * probe_readings, 0, probes),
        _evenly(start, readings - probes * probe_readings, probes, others),
    )


def _evenly(
    start: datetime, count: int, first: int, people: int
) -> Iterator[tuple[datetime, int]]:
    for number in range(count):
        at = start + SPAN * (number / count)
        yield at.replace(microsecond=0), first + number % people


def _marks(record: ReadingRecord, ids: Sequence[tuple[UUID, str | None]]) -> dict[str, str]:
    """Return which text of the reading of nobody stands for what."""
    person = Person(
        patient_id=_PATIENT,
        unit_id=_UNIT,
        provider_id=_PROVIDER,
        cuff=_DEVICE,
        oximeter=_DEVICE,
        gateway_id=_GATEWAY,
        epoch=_EPOCH,
    )
    marks = person.marks(_DEVICE) | {
        "record_id": str(record.record_id),
        "at": _AT.isoformat(),
        "at_z": _AT.isoformat().replace("+00:00", "Z"),
        "stored": _STORED.isoformat(),
        "number": str(_NUMBER),
        "trace": record.trace_id,
    }
    for place, (each, phd) in enumerate(ids):
        marks[f"id_{place}"] = str(each)
        if phd is not None:
            marks["seconds"] = phd.rpartition("-")[2]
    return marks


def _marked(text: str, marks: Mapping[str, str]) -> str:
    """Return the text as a template to format."""
    text = text.replace("%", "%%")
    for name, mark in marks.items():
        text = text.replace(mark, f"%({name})s")
    # What the record holds as bytes is made from its own template.
    return text.replace(_RECORD_MARK, "%(record)s")


_RECORD_MARK: Final = "<record>"


def _field(name: str, value: object) -> str:
    """Return a value in COPY's text format."""
    match value:
        case None:
            return "\\N"
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\\\x" + (_RECORD_MARK if name == "record" else value.hex())
        case datetime():
            return value.isoformat()
        case _:
            return str(value).replace("\\", "\\\\")


def _uuid(bits: int) -> str:
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
