"""Ten years of readings as the database would hold them, made quickly and true in size.

A few hundred readings go through mapping and admission's own row builders; what differs from one
reading to the next (ids, times, whose it is) is then put in by formatting text, which costs a
fiftieth of mapping. Texts are compressed one by one, as the store does it. So the rows have the
size and the shape of real ones, and as many different ids.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from heapq import merge
from random import Random
from typing import Final
from uuid import UUID

from msgspec import structs

from benchmarks import readings
from device_adapters.contract.messages import ReadingRecord, encode
from fhir_mappings import identifiers
from fhir_mappings.observations import MappedObservation
from ingest_service.admission import writing
from ingest_service.admission.incoming import Entry
from ingest_service.store import texts
from ingest_service.store.deliveries import DeliveryRow
from ingest_service.store.observations import ObservationRow
from ingest_service.store.patients import Patient

SPAN: Final = timedelta(days=3650)
TABLES: Final = ("observation", "observation_change", "identity", "device_record", "delivery")
ROWS_EACH: Final = 2  # observations of a reading: pressure and pulse, or saturation and pulse

_TEMPLATES: Final = 300
_OXIMETER_EVERY: Final = 3
_RECEIVED_AFTER: Final = timedelta(seconds=2)
_STORED_AFTER: Final = timedelta(seconds=4)
_HOME: Final = timezone(timedelta(hours=1))

# A reading of nobody, at no time: each of its marks is found in the text again and replaced.
_AT, _STORED = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2002, 3, 4, 5, 6, 7, tzinfo=UTC)
_PATIENT, _UNIT, _PROVIDER, _EPOCH = (UUID(int=0xFEED << 96 | number) for number in range(1, 5))
_DEVICE, _GATEWAY, _NUMBER = "FF:EE:DD:00:00:01", "gateway-of-nobody", 987_654_321
# What the store compresses is made from a template of its own.
_TEXT: Final = b"<text>"


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


@dataclass(frozen=True, slots=True)
class _Line:
    """One row as a template; ``text`` is what is compressed into it, if anything is."""

    table: str
    line: str
    text: str | None = None


class History:
    """Makes rows of readings; two of the same seed make the same."""

    def __init__(self, people: Sequence[Person], *, seed: int = 1) -> None:
        self._random = Random(seed)  # noqa: S311 - load, not a secret
        self._columns: dict[str, Sequence[str]] = {}
        half = range(_TEMPLATES // 2)
        self._templates = (
            [self._template(is_oximeter=False) for _ in half],
            [self._template(is_oximeter=True) for _ in half],
        )
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
        bits = self._random.getrandbits
        ids = [_uuid(bits(128)) for _ in range(ROWS_EACH)]
        received = at + _RECEIVED_AFTER + timedelta(microseconds=bits(19))
        marks = self._marks[person][is_oximeter] | _times(at, received, at + _STORED_AFTER)
        marks |= {
            "id_0": ids[0],
            "id_1": ids[1],
            "record_id": _uuid(bits(128)),
            "number": str(next(self._numbers)),
            "seconds": str(bits(29) + 1_000_000_000),
            "trace": f"{bits(128):032x}",
        }
        for each in self._random.choice(self._templates[is_oximeter]):
            if each.text is not None:
                text = each.text % marks
                is_record = each.table == "device_record"
                stored = texts.stored_record(text.encode()) if is_record else texts.body_of(text)
                marks["text"] = stored.hex()
            rows.lines[each.table].append(each.line % marks)
        rows.observation_ids.append(UUID(ids[0]))

    def _template(self, *, is_oximeter: bool) -> Sequence[_Line]:
        device = readings.described(_DEVICE, self._random)
        make = readings.saturation if is_oximeter else readings.pressure
        record = make(device, _AT, _EPOCH, self._random)
        patient = Patient(_PATIENT, _UNIT, _PROVIDER)
        mapped = writing.observations_of(record, patient, gateway_id=_GATEWAY, now=_STORED)
        encoded = encode(record)
        entry = Entry(gateway_id=_GATEWAY, epoch=_EPOCH, number=_NUMBER, encoded=encoded)
        kept = writing.record_row(record, encoded, patient, entry, is_suspected_double=False)
        delivery = DeliveryRow(
            gateway_id=_GATEWAY,
            epoch=_EPOCH,
            number=_NUMBER,
            digest=self._random.randbytes(16),
            outcome="stored",
            record_id=record.record_id,
        )
        marks = _marks(record, mapped)
        lines: list[_Line] = []

        def add(table: str, row: Mapping[str, object], text: str | None = None) -> None:
            self._columns.setdefault(table, list(row))
            line = "\t".join(map(_field, row.values())) + "\n"
            lines.append(_Line(table, _marked(line, marks), text and _marked(text, marks)))

        for row in writing.observation_rows(record, mapped, patient, now=_STORED):
            values = structs.asdict(row)
            text = values.pop("resource")
            add("observation", values | {"body": _TEXT}, text)
            add("observation_change", _change(row))
        for identity in writing.identity_rows(record, mapped):
            values = structs.asdict(identity)
            del values["phd_identifier"]
            add("identity", values | {"phd_digest": identity.id})  # as random as a digest
        add("device_record", structs.asdict(kept) | {"record": _TEXT}, encoded.decode())
        add("delivery", structs.asdict(delivery))
        return lines


def schedule(
    start: datetime, readings: int, people: int, steady: Sequence[tuple[int, int]]
) -> Iterator[tuple[datetime, int]]:
    """Yield when who measures, in the order of time, spread evenly over the ten years.

    Args:
        start: The first reading's time.
        readings: In all.
        people: How many.
        steady: So many of the first people measure so many times each, however many readings
            there are in all: what is asked about them has an answer of the same size, and only
            what lies around it grows. The other people share the rest.
    """
    streams: list[Iterator[tuple[datetime, int]]] = []
    first, left = 0, readings
    for count, each in steady:
        streams.append(_evenly(start, count * each, first, count))
        first, left = first + count, left - count * each
    return merge(*streams, _evenly(start, left, first, people - first))


def _evenly(
    start: datetime, count: int, first: int, people: int
) -> Iterator[tuple[datetime, int]]:
    for number in range(count):
        at = start + SPAN * (number / count)
        yield at.replace(microsecond=0), first + number % people


def _change(row: ObservationRow) -> dict[str, object]:
    return {
        "last_updated": row.last_updated,
        "effective_at": row.effective_at,
        "id": row.id,
        "care_unit_id": row.care_unit_id,
        "patient_id": row.patient_id,
        "version": row.version,
    }


def _times(at: datetime, received: datetime, stored: datetime) -> dict[str, str]:
    """Return the times of a reading in each way that they are written."""
    moment, moment_received = at.isoformat(), received.isoformat()
    return {
        "at_home": at.astimezone(_HOME).isoformat(),
        "at": moment,
        "received": moment_received,
        "received_z": moment_received.replace("+00:00", "Z"),
        "stored": stored.isoformat(),
    }


def _marks(record: ReadingRecord, mapped: Sequence[MappedObservation]) -> dict[str, str]:
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
    marks = person.marks(_DEVICE) | _times(_AT, record.reception.received_at, _STORED)
    marks |= {
        "record_id": str(record.record_id),
        "number": str(_NUMBER),
        "trace": record.trace_id,
    }
    for place, each in enumerate(mapped):
        marks[f"id_{place}"] = str(each.id)
        if each.phd_identifier is not None:
            marks["seconds"] = each.phd_identifier.rpartition("-")[2]
    return marks


def _marked(text: str, marks: Mapping[str, str]) -> str:
    """Return the text as a template to format."""
    text = text.replace("%", "%%")
    for name, mark in marks.items():
        text = text.replace(mark, f"%({name})s")
    return text.replace(_TEXT.hex(), "%(text)s")


def _field(value: object) -> str:
    """Return a value in COPY's text format."""
    match value:
        case None:
            return "\\N"
        case bool():
            return "t" if value else "f"
        case bytes():
            return f"\\\\x{value.hex()}"
        case datetime():
            return value.isoformat()
        case _:
            return str(value).replace("\\", "\\\\")


def _uuid(bits: int) -> str:
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
