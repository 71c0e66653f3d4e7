"""Bad input at volume, through the real broker, beside good readings."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.support import raw_mqtt
from tests.support.hostile import NAME, SENDERS, STRANGER, VALUES, Ends, Hostile, Message
from tests.support.hostile_kinds import flood
from tests.support.ingest import UNIT, Home, registered
from tests.support.mqtt import FAILURE, NOT_AUTHORISED
from tests.support.sender import Sender
from tests.support.services import Broker, Database
from tests.support.worker import Worker, wait_until, working

pytestmark = [pytest.mark.timescale, pytest.mark.broker]

_AT_ONCE: Final = 500
_ROGUE: Final = "gateway-rogue"
_LOOK_S: Final = 0.25
_WARM_UP: Final = 0.4  # of the samples
_GROWTH: Final = 1.2
_GROWTH_BYTES: Final = 16 * 1024 * 1024

# What a row of the quarantine is about, and why it waits.
_Waiting = tuple[str, str | None, int | None, str]


@pytest.mark.timeout(120)
async def test_a_sample_of_bad_input_takes_no_good_reading_with_it(
    own: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(
        __import__("os").environ.get("SEED") or secrets.randbelow(1_000_000)
    )  # another sample each time
    print(f"seed {seed}")  # noqa: T201 shown if it fails

    await _withstand(own, tmp_path / "ingest.log", seed=seed, count=3_000)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_100_000_messages_take_no_good_reading_with_them(
    own: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = await _withstand(own, tmp_path / "ingest.log", seed=1, count=100_000)

    with capsys.disabled():
        print(figures)  # noqa: T201 the figures are what it is run for


async def _withstand(own: Database, log: Path, *, seed: int, count: int) -> dict[str, Any]:
    """Send the flood, hold the books against each other, and return what was counted."""
    home = await registered(own)
    for gateway_id in SENDERS[1:]:
        home.execute("INSERT INTO gateway (id, care_unit_id) VALUES (%s, %s)", gateway_id, UNIT)
    hostile = Hostile(seed, datetime.now(UTC).replace(microsecond=0))
    broker = Broker(services=own.services)
    sent: list[Message] = []
    refused: Counter[str] = Counter()
    again = 0
    with ExitStack() as stack:
        worker = stack.enter_context(working(own, log))
        memory = stack.enter_context(_watched(worker.process.pid))
        senders = {
            name: stack.enter_context(Sender(broker, name)) for name in (*SENDERS, STRANGER)
        }
        for part in _parts(flood(hostile, count), _AT_ONCE):
            for what, packet in raw_mqtt.refusals(_ROGUE).items():
                assert raw_mqtt.is_cut_off(broker, _ROGUE, packet), what
                refused["cut off"] += 1
            for name, sender in senders.items():
                own_part = [message for message in part if message.sender == name]
                answers = sender.publish(own_part)
                refused["denied"] += _check_answers(own_part, answers)
            for name, sender in senders.items():
                again += sender.until_receipted([m for m in part if m.sender == name])
            sent += part
        _wait_for_the_nameless(home, sent)
        last = hostile.good()
        senders[last.sender].publish([last])
        senders[last.sender].until_receipted([last])
        sent.append(last)

        assert worker.process.poll() is None
        assert [sender.disconnections for sender in senders.values()] == [0] * len(senders)
    _check_database(home, sent)
    _check_log(worker, len(sent))
    return {
        "seed": seed,
        "messages": len(sent),
        "sent_again": again,
        "refused_at_the_broker": dict(refused),
        "records": dict(Counter(end.outcome for m in sent for end in m.ends)),
        "quarantined": dict(Counter(reason for *_, reason in _expected_waiting(sent).elements())),
        "log_bytes": worker.size(),
        "memory_mb": _check_memory(memory),
    }


def _parts(messages: Iterator[Message], size: int) -> Iterator[list[Message]]:
    while part := list(islice(messages, size)):
        yield part


@contextmanager
def _watched(pid: int) -> Generator[list[int]]:
    """Sample a process's resident memory in bytes for as long as this lasts."""
    samples: list[int] = []
    is_over = threading.Event()

    def look() -> None:
        process = psutil.Process(pid)
        while not is_over.wait(_LOOK_S):
            samples.append(process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield samples
    finally:
        is_over.set()
        looking.join()


def _check_answers(messages: Sequence[Message], answers: Sequence[int]) -> int:
    """Hold the broker's answers against the ACL; return how many messages it denied."""
    denied = 0
    for message, answer in zip(messages, answers, strict=True):
        if message.is_for_the_broker_to_refuse:
            assert answer == NOT_AUTHORISED, (message.topic, answer)
            denied += 1
        else:
            assert answer < FAILURE, (message.kind, answer)
    return denied


def _wait_for_the_nameless(home: Home, sent: Sequence[Message]) -> None:
    """Wait for what can have no receipt."""
    expected = sum(message.epoch is None and bool(message.ends) for message in sent)
    query = "quarantine WHERE number IS NULL"
    wait_until(lambda: home.count(query) >= expected)


def _check_database(home: Home, sent: Sequence[Message]) -> None:
    stored = Counter(str(one) for message in sent for one in message.records)
    found = Counter(row["record_id"] for row in home.rows("device_record"))
    lost = [message.kind for message in sent if any(found[str(r)] != 1 for r in message.records)]
    assert lost == []
    assert found == stored
    assert Counter(row["record_id"] for row in home.rows("observation")) == stored

    numbers = {
        (message.sender, str(message.epoch), number): end.outcome
        for message in sent
        for number, end in zip(message.numbers, message.ends, strict=False)
        if end.outcome != "conflict"
    }
    known = {
        (row["gateway_id"], row["epoch"], row["number"]): row["outcome"]
        for row in home.rows("delivery")
    }
    assert known == numbers

    rows = home.rows("quarantine")
    waiting = Counter[_Waiting](
        (row["gateway_id"], row["epoch"], row["number"], row["reason"]) for row in rows
    )
    assert waiting == _expected_waiting(sent)
    told = [row["detail"] for row in rows if _tells(row["detail"])]
    assert told == []


def _expected_waiting(sent: Sequence[Message]) -> Counter[_Waiting]:
    waiting = Counter[_Waiting]()
    for message in sent:
        ends: Sequence[Ends] = message.ends[:1] if message.is_whole else message.ends
        for place, end in enumerate(ends):
            if end.reason is None:
                continue
            epoch = str(message.epoch) if message.epoch else None
            number = message.first + place if message.epoch else None
            waiting[message.sender, epoch, number, end.reason] += 1
    return waiting


def _check_log(worker: Worker, messages: int) -> None:
    lines = worker.lines()
    assert sum(line["message"] == "subscribed" for line in lines) == 1  # it never lost the broker
    assert [line for line in lines if "exception" in line or line["level"] == "error"] == []
    text = worker.log.read_text(encoding="utf-8")
    assert not _tells(text)
    assert len(lines) < 8 * messages
    assert max(len(line) for line in text.splitlines()) < 4096


def _tells(text: str) -> bool:
    """Tell whether a name, a value, or JSON of a payload within JSON stands in the text."""
    return any(part in text for part in (*NAME.split(), *VALUES, "diastolic\\"))


def _check_memory(samples: Sequence[int]) -> dict[str, float]:
    """Hold what the worker needs at the end against what it needed once it was warm."""
    warm = int(len(samples) * _WARM_UP)
    before, after = max(samples[:warm]), max(samples[warm:])
    assert after <= before * _GROWTH + _GROWTH_BYTES, samples
    return {"start": samples[0] / 1e6, "warm": before / 1e6, "most": after / 1e6}
