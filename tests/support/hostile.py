"""Messages that break what a gateway may send, and good ones beside them; a seed repeats them.

What becomes of each is written here by hand, from docs/reference/quarantine.md and the contract's
JSON Schema: no part of ingest is asked. Records are built as plain JSON for the same reason.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from device_adapters.contract import identity
from tests.support.ingest import CUFF, CUFF_CHARACTERISTIC

SENDERS: Final = ("gateway-1", "gateway-2", "gateway-3")
STRANGER: Final = "stranger-1"  # has a certificate, and nobody registered it
UNKNOWN_DEVICE: Final = "F0:EE:00:00:00:01"

# Stand for what may never be told: a name, and values of a reading. They are looked for in the
# log and in the quarantine's text.
NAME: Final = "Kanarie Fågelsson"
VALUES: Final = ("7193.55", "6841.77")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ends:
    """What becomes of one record: an outcome of `delivery`, and why if it waits."""

    outcome: str
    reason: str | None = None


STORED: Final = Ends("stored")
VOID: Final = Ends("void")
CORRECTED: Final = Ends("time_correction")
REUSED: Final = Ends("conflict", "number_reused")  # beside what the number stood for before


def waits(reason: str) -> Ends:
    """Return the end of a record that waits in the quarantine."""
    return Ends("quarantined", reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as a gateway would publish it, and what must become of it.

    ``ends`` has one for each announced number, beginning with ``first`` of ``epoch``; it is
    empty where the broker must refuse the message. Without ``epoch`` nothing can be receipted,
    and the one end is that of the message. A message that ``is_whole`` cannot be taken apart:
    its numbers wait together, as one entry. ``records`` are the ids of what must be stored.
    """

    kind: str
    sender: str
    topic: str
    payload: bytes
    properties: Sequence[tuple[str, str]] = ()
    epoch: UUID | None = None
    first: int = 0
    ends: Sequence[Ends] = ()
    is_whole: bool = False
    records: Sequence[UUID] = ()
    qos: int = 1
    retain: bool = False

    @property
    def is_for_the_broker_to_refuse(self) -> bool:
        """Tell whether no worker may ever see it."""
        return not self.ends

    @property
    def numbers(self) -> range:
        """Return the numbers that have to be receipted."""
        return range(self.first, self.first + len(self.ends)) if self.epoch else range(0)


@dataclass(slots=True)
class _Line:
    """One gateway's numbers, and what it sent under them that can be meant again."""

    epoch: UUID
    next: int = 1
    good: list[tuple[int, UUID]] = field(default_factory=list[tuple[int, UUID]])


class Hostile:
    """What messages are made of; the same seed and time give the same ones.

    Args:
        seed: Decides everything but the times.
        now: What times are near, where they are meant to be plausible.
    """

    def __init__(self, seed: int, now: datetime) -> None:
        self._random = Random(seed)  # noqa: S311 not for secrets
        self._now = now
        self._made = 0
        self._lines = {sender: _Line(self._uuid()) for sender in (*SENDERS, STRANGER)}

    def good(self, kind: str = "good", **changes: Any) -> Message:
        """Return one to three readings that must be stored."""
        records = [self.reading(**changes) for _ in range(self._random.randint(1, 3))]
        return self.of_records(kind, records, [STORED] * len(records))

    def reading(self, **changes: Any) -> Json:
        """Return a reading within limits; ``changes`` are set in it, ``a__b`` in its member a."""
        self._made += 1
        at = (self._now - timedelta(seconds=self._random.randrange(3600))).isoformat()
        record: Json = {
            "type": "reading",
            "record_id": str(self._uuid()),
            "is_identity_own": True,
            "device": {"id": CUFF},
            "reset_generation": 0,
            "adapter": "blood-pressure-service",
            "reception": {
                "characteristic": CUFF_CHARACTERISTIC,
                "raw": base64.b64encode(self._random.randbytes(19)).decode(),
                "received_at": at,
                "boot_id": str(self._uuid()),
                "monotonic_ns": self._made,
                "is_clock_synchronised": True,
                "device_clock_offset_s": 0.25,
            },
            "effective_at": at,
            "time_quality": "synchronised",
            "reading": {
                "type": "blood_pressure",
                "systolic": str(self._random.randint(110, 140)),
                "diastolic": str(self._random.randint(70, 85)),
                "mean": {"special": "NaN"},
                "unit": "mm[Hg]",
            },
            "trace_id": self._trace(),
        }
        for path, value in changes.items():
            _set(record, path.split("__"), value)
        with suppress(TypeError, ValueError, KeyError):  # no id follows from what is wrong
            self._name(record, changes)
        return record

    def _name(self, record: Json, changes: Json) -> None:
        """Give a reading the id that follows from it, as a gateway does."""
        if "record_id" not in changes:
            reception = record["reception"]
            raw = base64.b64decode(reception["raw"], validate=True)
            found = identity.of_device_record(
                record["device"]["id"],
                record["reset_generation"],
                reception["characteristic"],
                raw,
            )
            record["record_id"] = str(found)

    def of_records(
        self,
        kind: str,
        records: Sequence[Json | bytes],
        ends: Sequence[Ends],
        *,
        sender: str | None = None,
        **changes: Any,
    ) -> Message:
        """Return a message that can be taken apart, with the sender's next numbers."""
        payload = self.payload_of(records)
        message = self.numbered(kind, payload, ends, sender=sender, **changes)
        pairs = zip(message.numbers, records, ends, strict=True)
        stored = [(n, r) for n, r, end in pairs if end is STORED and isinstance(r, dict)]
        ids = [(number, UUID(record["record_id"])) for number, record in stored]
        self._lines[message.sender].good += ids
        return replace(message, records=tuple(one for _, one in ids))

    def payload_of(self, records: Sequence[Json | bytes]) -> bytes:
        """Return the payload that carries these records, JSON or not."""
        encoded = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
        head = b'{"sent_at":"' + self._now.isoformat().encode() + b'","records":['
        return head + b",".join(encoded) + b"]}"

    def numbered(
        self,
        kind: str,
        payload: bytes,
        ends: Sequence[Ends],
        *,
        sender: str | None = None,
        is_whole: bool = False,
        schema: str = "1.1",
        **changes: Any,
    ) -> Message:
        """Return a message with this payload and the sender's next numbers."""
        chosen = sender or self._random.choice(SENDERS)
        line = self._lines[chosen]
        first, line.next = line.next, line.next + len(ends)
        return Message(
            kind=kind,
            sender=chosen,
            topic=f"hemvital/v1/{chosen}/readings",
            payload=payload,
            properties=_properties(line.epoch, first, len(ends), schema),
            epoch=line.epoch,
            first=first,
            ends=tuple(ends),
            is_whole=is_whole,
            **changes,
        )

    def whole(self, kind: str, payload: bytes, reason: str, **changes: Any) -> Message:
        """Return a message that cannot be taken apart: all its numbers wait together."""
        count = self._random.choice((1, 1, 1, 2, 7))
        return self.numbered(kind, payload, [waits(reason)] * count, is_whole=True, **changes)

    def one(self, kind: str, record: Json | bytes, reason: str, **changes: Any) -> Message:
        """Return a message with one bad record between good ones, or alone."""
        records: list[Json | bytes] = [record]
        ends = [waits(reason)]
        if self._random.randrange(2):
            records = [self.reading(), record, self.reading()]
            ends = [STORED, ends[0], STORED]
        return self.of_records(kind, records, ends, **changes)

    def nameless(self, kind: str, properties: Sequence[tuple[str, str]]) -> Message:
        """Return a message whose properties are unusable; each has a payload of its own."""
        sender = self._random.choice(SENDERS)
        return Message(
            kind=kind,
            sender=sender,
            topic=f"hemvital/v1/{sender}/readings",
            payload=json.dumps({"records": [NAME], "made": self._next()}).encode(),
            properties=properties,
            ends=(waits("undecodable"),),
        )

    def usable_properties(self) -> list[tuple[str, str]]:
        """Return properties of numbers that nobody uses."""
        return _properties(self._uuid(), self._random.randint(1, 10**6), 1, "1.1")

    def chance(self, of: int) -> int:
        """Return a number from nought, below this."""
        return self._random.randrange(of)

    def pick(self, choices: Sequence[Any]) -> Any:
        """Return one of these."""
        return self._random.choice(choices)

    def noise(self, most: int) -> bytes:
        """Return up to this many random bytes that are no JSON whatever follows."""
        return b"\x00" + self._random.randbytes(self._random.randrange(most))

    def earlier(self) -> tuple[str, int, UUID] | None:
        """Return who sent a good reading before, its number and its id."""
        sender = self._random.choice(SENDERS)
        good = self._lines[sender].good
        return (sender, *self._random.choice(good)) if good else None

    def forget(self, message: Message) -> Message:
        """Return the message; nothing later refers to it, since it may come in another order."""
        line = self._lines[message.sender]
        del line.good[len(line.good) - len(message.records) :]
        return message

    def correction(self, record_id: UUID, at: str) -> Json:
        """Return a better time for a record."""
        return {
            "type": "time_correction",
            "record_id": str(record_id),
            "effective_at": at,
            "time_quality": "synchronised",
            "reason": f"clock {self._next()}",
            "trace_id": self._trace(),
        }

    def void(self, reason: Any) -> Json:
        """Return a record that holds a number and nothing else."""
        return {"type": "void", "reason": reason, "trace_id": self._trace()}

    def new_id(self) -> UUID:
        """Return an id that nothing has."""
        return self._uuid()

    def moment(self) -> str:
        """Return a plausible time."""
        return (self._now - timedelta(seconds=self._random.randrange(3600))).isoformat()

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def _trace(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


def _properties(epoch: UUID, first: object, count: object, schema: str) -> list[tuple[str, str]]:
    return [
        ("epoch", str(epoch)),
        ("first", str(first)),
        ("count", str(count)),
        ("schema", schema),
    ]


def _set(record: Json, path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        record = record[name]
    if value is ...:
        del record[path[-1]]
    else:
        record[path[-1]] = value
