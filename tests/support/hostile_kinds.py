"""Every kind of message that a broken or wicked gateway might send, each with what becomes of it.

A kind is a function that takes the parts from `Hostile`. The expected ends are those of
docs/reference/quarantine.md; what the broker must refuse is what deploy/mosquitto/acl denies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.support.hostile import (
    CORRECTED,
    NAME,
    REUSED,
    SENDERS,
    STORED,
    STRANGER,
    UNKNOWN_DEVICE,
    VALUES,
    VOID,
    Hostile,
    Message,
    waits,
)

Kind = Callable[[Hostile, str], Message]

_OVER_128_KIB: Final = 128 * 1024 + 1
_MOST_RECORDS: Final = 500
_DEEP: Final = 60_000
_SPARSE: Final = 2**62

# A member of a record, and values that are of its type for nobody.
_WRONG: Final[Sequence[tuple[str, Sequence[Any]]]] = (
    ("record_id", (None, 7, NAME, "", [], {})),
    ("is_identity_own", (None, 1, "true", NAME, [])),
    ("device", (None, NAME, [], 7, {"name": NAME})),
    ("device__id", (None, "", 7, "x" * 65, [NAME])),
    ("device__name", (7, "x" * 129, {"first": NAME})),
    ("reset_generation", (None, -1, 2**31, 1.5, "0", 10**30)),
    ("adapter", (None, "", "x" * 65, 7)),
    ("reception", (None, NAME, [])),
    ("reception__raw", (None, NAME, "=" * 9, "A" * 8000, 7)),
    ("reception__characteristic", (None, "", "x" * 65)),
    ("reception__received_at", (None, NAME, "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", 7)),
    ("reception__boot_id", (None, NAME, 7)),
    ("reception__monotonic_ns", (None, -1, 2**63, 10**400, "1")),
    ("reception__is_clock_synchronised", (None, "yes", 1)),
    ("reception__device_clock_offset_s", (NAME, [], "1.5")),
    ("effective_at", (None, "", NAME, "2026-13-01T00:00:00Z", "10000-01-01T00:00:00Z", 1e12)),
    ("time_quality", (None, "", NAME, 7)),
    ("reading", (None, [], NAME, {}, {"type": NAME}, {"type": "blood_pressure"})),
    ("reading__type", (..., None, NAME, 7)),
    ("reading__systolic", (..., None, NAME, [VALUES[0]], {"special": NAME}, {"special": 7})),
    ("reading__unit", (None, NAME, "mmHg")),
    ("reading__device_time", (NAME, {"year": 70_000}, {"year": 2026})),
    ("reading__user_index", (-1, 256, NAME, 1.5)),
    ("reading__status", (-1, 65_536, NAME)),
    ("trace_id", (None, "", NAME, "F" * 32, "0" * 31, "0" * 33)),
    ("type", (..., None, NAME, "READING", 7)),
)
_HUGE: Final = ("1e999999999", "1e-999999999", "9" * 30, "NaN", "Infinity", "-1e11", "1e400")
_IMPOSSIBLE: Final = (
    {"reading__systolic": VALUES[0]},
    {"reading__diastolic": VALUES[1], "reading__systolic": "9000"},
    {"reading__systolic": "39.9", "reading__diastolic": "25"},
    {"reading__systolic": "80", "reading__diastolic": "80"},
    {"reading__systolic": "-120"},
    {"reading": {"type": "pulse_oximetry", "spo2": "100.1", "pulse_per_min": "80"}},
    {"reading": {"type": "pulse_oximetry", "spo2": "49.9", "pulse_per_min": VALUES[0]}},
    {"reading": {"type": "body_temperature", "temperature": "47.1", "unit": "Cel"}},
    {"reading": {"type": "body_weight", "weight": "651", "unit": "kg"}},
    {"reading": {"type": "heart_rate", "heart_rate_per_min": "19"}},
)
_ELSEWHEN: Final = (
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "2035-06-01T12:00:00+02:00",
    "2099-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999Z",
)
_NO_EPOCHS: Final = ("", "x", NAME, "0" * 31, "00000000-0000-0000-0000-00000000000g")
_NO_NUMBERS: Final = ("", "0", "-1", "1.5", "x", NAME, "9" * 30, "9" * 5000, str(2**63))
_NO_COUNTS: Final = ("", "0", "-1", "501", "x", "9" * 5000, "true")
_NO_VERSIONS: Final = ("", "x", NAME, "1x", "-1", "1.x" * 100, "2026-11-25")
_NO_MESSAGES: Final = (
    b"[]",
    b"{}",
    b"null",
    b"12",
    b'"text"',
    b'{"sent_at":"2026-01-01T00:00:00Z"}',
    b'{"sent_at":null,"records":[]}',
    b'{"sent_at":"2026-01-01T00:00:00","records":[1]}',
    b'{"sent_at":"2026-01-01T00:00:00Z","records":{}}',
    b'{"sent_at":"2026-01-01T00:00:00Z","records":"[]"}',
    b'{"sent_at":"2026-01-01T00:00:00Z","records":[]}',
    b'{"sent_at":"%s","records":[1]}' % NAME.encode(),
    b"[" * _DEEP + b"]" * _DEEP,
)
_BROKEN: Final = (
    b"",
    b"{",
    b'{"sent_at":',
    b'{"sent_at":"2026-01-01T00:00:00Z","records":[',
    b'{"sent_at":"2026-01-01T00:00:00Z","records":[tru]}',
    b'{"sent_at":"2026-01-01T00:00:00Z","records":[01]}',
    b'{"sent_at":"\\ud800","records":[]}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
)


def flood(hostile: Hostile, count: int, *, share_good: int = 25) -> Iterator[Message]:
    """Yield this many messages, so many of a hundred good; kinds of hundreds of records seldom."""
    kinds = [kind for kind in KINDS for _ in range(1 if kind in _HEAVY else 10)]
    for _ in range(count):
        if hostile.chance(100) < share_good:
            yield hostile.good()
        else:
            kind = hostile.pick(kinds)
            yield KINDS[kind](hostile, kind)


def _noise(hostile: Hostile, kind: str) -> Message:
    return hostile.whole(kind, hostile.noise(400), "undecodable")


def _broken(hostile: Hostile, kind: str) -> Message:
    return hostile.whole(kind, hostile.pick(_BROKEN), "undecodable")


def _truncated(hostile: Hostile, kind: str) -> Message:
    return hostile.whole(kind, hostile.payload_of([hostile.reading()])[:-1], "undecodable")


def _no_message(hostile: Hostile, kind: str) -> Message:
    return hostile.whole(kind, hostile.pick(_NO_MESSAGES), "schema")


def _lying_count(hostile: Hostile, kind: str) -> Message:
    announced = hostile.pick((2, 3, 17, _MOST_RECORDS))
    records = [b"{}"] * hostile.pick((0, 1, announced - 1, announced + 1))
    if announced == len(records):
        records.append(b"{}")
    payload = hostile.payload_of(records)
    return hostile.numbered(kind, payload, [waits("schema")] * announced, is_whole=True)


def _noise_of_500(hostile: Hostile, kind: str) -> Message:
    # Five bytes that stand for five hundred numbers.
    return hostile.numbered(
        kind, hostile.noise(5), [waits("undecodable")] * _MOST_RECORDS, is_whole=True
    )


def _too_large(hostile: Hostile, kind: str) -> Message:
    size = hostile.pick((_OVER_128_KIB, 200_000, 256 * 1024))
    return hostile.whole(kind, hostile.payload_of([hostile.reading()]).ljust(size), "too_large")


def _newer(hostile: Hostile, kind: str) -> Message:
    version = hostile.pick(("2.0", "2", "10.3", "999999999.0"))
    payload = hostile.payload_of([hostile.reading()])
    return hostile.whole(kind, payload, "unsupported_version", schema=version)


def _no_version(hostile: Hostile, kind: str) -> Message:
    payload = hostile.payload_of([hostile.reading()])
    return hostile.whole(kind, payload, "undecodable", schema=hostile.pick(_NO_VERSIONS))


def _missing_property(hostile: Hostile, kind: str) -> Message:
    given = hostile.usable_properties()
    gone = hostile.pick(("epoch", "first", "count", "schema", "all"))
    return hostile.nameless(kind, [p for p in given if gone not in (p[0], "all")])


def _repeated_property(hostile: Hostile, kind: str) -> Message:
    given = hostile.usable_properties()
    twice = hostile.pick([*given, (NAME, NAME)])
    return hostile.nameless(kind, [*given, twice, twice])


def _broken_property(hostile: Hostile, kind: str) -> Message:
    name, values = hostile.pick(
        (("epoch", _NO_EPOCHS), ("first", _NO_NUMBERS), ("count", _NO_COUNTS))
    )
    value = hostile.pick(values)
    given = hostile.usable_properties()
    return hostile.nameless(kind, [(k, value if k == name else v) for k, v in given])


def _wrong_member(hostile: Hostile, kind: str) -> Message:
    path, values = hostile.pick(_WRONG)
    return hostile.one(kind, hostile.reading(**{path: hostile.pick(values)}), "schema")


def _huge_number(hostile: Hostile, kind: str) -> Message:
    member = hostile.pick(("systolic", "diastolic", "mean", "pulse_per_min"))
    changes = {f"reading__{member}": hostile.pick(_HUGE)}
    return hostile.one(kind, hostile.reading(**changes), "schema")


def _no_utf8(hostile: Hostile, kind: str) -> Message:
    record = json.dumps(hostile.reading(adapter="HERE")).encode()
    text = hostile.pick((b"\xff", b"\xc0\x80", b"\xed\xa0\x80"))
    return hostile.one(kind, record.replace(b"HERE", text), "undecodable")


def _half_pair(hostile: Hostile, kind: str) -> Message:
    """Half a surrogate pair: where the record ends cannot be told any more."""
    record = json.dumps(hostile.reading(adapter="HERE")).encode().replace(b"HERE", b"\\ud800")
    return hostile.whole(kind, hostile.payload_of([record]), "undecodable")


def _deep_record(hostile: Hostile, kind: str) -> Message:
    record = json.dumps(hostile.reading(more="HERE")).encode()
    nested = b"[" * 20_000 + b"]" * 20_000
    payload = hostile.payload_of([record.replace(b'"HERE"', nested)])
    return hostile.whole(kind, payload, "undecodable")


def _nul(hostile: Hostile, kind: str) -> Message:
    """A text with NUL where the database has a column: no column can take it."""
    path = hostile.pick(("device__id", "reception__characteristic"))
    return hostile.one(kind, hostile.reading(**{path: "F0\0A1"}), "rejected")


def _broken_500(hostile: Hostile, kind: str) -> Message:
    record = hostile.pick((b"{}", b"1", b'"' + NAME.encode() + b'"', b'{"type":"reading"}'))
    records = [record] * _MOST_RECORDS
    return hostile.of_records(kind, records, [waits("schema")] * _MOST_RECORDS)


def _nul_100(hostile: Hostile, kind: str) -> Message:
    records = [hostile.reading(device__id=f"\0{number}") for number in range(100)]
    return hostile.of_records(kind, records, [waits("rejected")] * len(records))


def _unknown_device(hostile: Hostile, kind: str) -> Message:
    return hostile.one(kind, hostile.reading(device__id=UNKNOWN_DEVICE), "unknown_device")


def _unassigned(hostile: Hostile, kind: str) -> Message:
    # The home's assignments begin in 2020.
    at = "2019-12-31T23:59:59Z"
    return hostile.one(kind, hostile.reading(effective_at=at), "unassigned")


def _impossible(hostile: Hostile, kind: str) -> Message:
    return hostile.one(kind, hostile.reading(**hostile.pick(_IMPOSSIBLE)), "impossible_value")


def _elsewhen(hostile: Hostile, kind: str) -> Message:
    record = hostile.reading(effective_at=hostile.pick(_ELSEWHEN))
    return hostile.one(kind, record, "time_implausible")


def _far_zone(hostile: Hostile, kind: str) -> Message:
    member = hostile.pick(("effective_at", "reception__received_at"))
    at = hostile.moment()[:19] + hostile.pick(("+14:01", "-23:59", "+23:00"))
    return hostile.one(kind, hostile.reading(**{member: at}), "schema")


def _strange_reception(hostile: Hostile, kind: str) -> Message:
    """The gateway's clock says anything: the reading's own time is what counts."""
    return hostile.good(kind, reception__received_at=hostile.pick(_ELSEWHEN))


def _unknown_members(hostile: Hostile, kind: str) -> Message:
    return hostile.good(kind, future={"members": [1, NAME]}, device__colour=NAME)


def _void(hostile: Hostile, kind: str) -> Message:
    reason = hostile.pick(("", "too large", "\0\x1b[31m\n" + "x" * 2000, "\u202e" * 50))
    return hostile.of_records(kind, [hostile.void(reason)], [VOID])


def _no_void(hostile: Hostile, kind: str) -> Message:
    return hostile.one(kind, hostile.void(hostile.pick((None, 7, [NAME]))), "schema")


def _correction_of_nothing(hostile: Hostile, kind: str) -> Message:
    record = hostile.correction(hostile.new_id(), hostile.pick((hostile.moment(), *_ELSEWHEN)))
    return hostile.one(kind, record, "correction_without_record")


def _no_correction(hostile: Hostile, kind: str) -> Message:
    changes = hostile.pick(
        ({"time_quality": NAME}, {"reason": None}, {"record_id": NAME}, {"effective_at": NAME})
    )
    record = hostile.correction(hostile.new_id(), hostile.moment())
    return hostile.one(kind, {**record, **changes}, "schema")


def _correction(hostile: Hostile, kind: str) -> Message:
    """A better time for what was sent before; or one that it cannot have."""
    if (earlier := hostile.earlier()) is None:
        return hostile.good()
    sender, _, record_id = earlier
    if hostile.chance(2):
        record = hostile.correction(record_id, hostile.moment())
        return hostile.of_records(kind, [record], [CORRECTED], sender=sender)
    record = hostile.correction(record_id, hostile.pick(_ELSEWHEN))
    return hostile.of_records(kind, [record], [waits("time_implausible")], sender=sender)


def _reused(hostile: Hostile, kind: str) -> Message:
    """Other bytes under a number that a good reading has."""
    if (earlier := hostile.earlier()) is None:
        return hostile.good()
    sender, number, _ = earlier
    message = hostile.numbered(kind, hostile.payload_of([hostile.reading()]), [], sender=sender)
    again = [(k, {"first": str(number), "count": "1"}.get(k, v)) for k, v in message.properties]
    return replace(message, properties=again, first=number, ends=[REUSED])


def _sparse(hostile: Hostile, kind: str) -> Message:
    """A number near the largest, in an epoch of its own."""
    message = hostile.forget(hostile.of_records(kind, [hostile.reading()], [STORED]))
    epoch, first = hostile.new_id(), _SPARSE + hostile.chance(_SPARSE - 1000)
    changed = {"first": str(first), "epoch": str(epoch)}
    properties = [(k, changed.get(k, v)) for k, v in message.properties]
    return replace(message, properties=properties, epoch=epoch, first=first)


def _stranger(hostile: Hostile, kind: str) -> Message:
    reading = hostile.reading()
    return hostile.of_records(kind, [reading], [waits("unknown_gateway")], sender=STRANGER)


def _unasked_delivery(hostile: Hostile, kind: str) -> Message:
    """A good message that the broker is asked to handle in another way than gateways ask."""
    message = hostile.forget(hostile.good(kind))
    return replace(message, qos=hostile.pick((0, 2)), retain=bool(hostile.chance(2)))


def _foreign_topic(hostile: Hostile, kind: str) -> Message:
    sender = hostile.pick(SENDERS)
    other = hostile.pick([*(s for s in SENDERS if s != sender), STRANGER, "nobody", "+x", ""])
    name = hostile.pick(
        (
            f"hemvital/v1/{other}/readings",
            f"hemvital/v1/{other}/status",
            f"hemvital/v1/{sender}/receipts",
            f"hemvital/v1/{sender}/config",
            f"hemvital/v1/{other}/resend",
            f"hemvital/v1/{sender}/readings/more",
            f"homes/hemvital/v1/{sender}/readings",
            f"/hemvital/v1/{sender}/readings",
            f"hemvital/v2/{sender}/readings",
            "$SYS/broker/version",
            "readings",
        )
    ).replace("+x", "x")
    message = hostile.numbered(kind, hostile.payload_of([hostile.reading()]), [], sender=sender)
    return replace(message, topic=name, epoch=None)


KINDS: Final[dict[str, Kind]] = {
    function.__name__.removeprefix("_"): function
    for function in (
        _noise,
        _broken,
        _truncated,
        _no_message,
        _lying_count,
        _noise_of_500,
        _too_large,
        _newer,
        _no_version,
        _missing_property,
        _repeated_property,
        _broken_property,
        _wrong_member,
        _huge_number,
        _no_utf8,
        _half_pair,
        _deep_record,
        _nul,
        _nul_100,
        _broken_500,
        _unknown_device,
        _unassigned,
        _impossible,
        _elsewhen,
        _far_zone,
        _strange_reception,
        _unknown_members,
        _void,
        _no_void,
        _correction_of_nothing,
        _no_correction,
        _correction,
        _reused,
        _sparse,
        _stranger,
        _unasked_delivery,
        _foreign_topic,
    )
}

_HEAVY: Final = ("lying_count", "noise_of_500", "broken_500", "nul_100")
