"""Any interleaving of crashes, losses, receipts and requests: nothing is lost or renumbered."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from device_adapters.contract.identity import digest
from device_adapters.contract.messages import Receipt, Resend
from gateway.store.database import open_database
from gateway.store.outbox import Outbox
from tests.unit.gateway.fakes import START, FakeClock

S = 10**9


class Server:
    """What a server that keeps to the protocol knows: which bytes came under which number."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = UUID(int=incarnation)
        self.known: dict[UUID, dict[int, bytes]] = {}
        self.records: set[bytes] = set()

    def greeting(self, epoch: UUID) -> Receipt:
        """What a server says by itself, so that gateways hear of a restored database."""
        return Receipt(incarnation=self.incarnation, epoch=epoch, ranges=())

    def take(self, epoch: UUID, number: int, record: bytes) -> Receipt:
        numbers = self.known.setdefault(epoch, {})
        is_conflict = number in numbers and digest(numbers[number]) != digest(record)
        if not is_conflict:
            numbers[number] = record
            self.records.add(record)
        return Receipt(
            incarnation=self.incarnation,
            epoch=epoch,
            ranges=tuple((each, each) for each in sorted(numbers)),
            conflicts=(number,) if is_conflict else (),
        )


def exchange(
    outbox: Outbox, server: Server, now_ns: int, numbers: dict[tuple[UUID, int], bytes]
) -> None:
    """Send all that is due and deliver every receipt; note which number stood for what."""
    while batch := outbox.due(now_ns, max_records=5, max_bytes=65536):
        outbox.sent(batch, now_ns)
        for number, record in enumerate(batch.records, start=batch.first):
            assert numbers.setdefault((batch.epoch, number), record) == record
            outbox.receipt(server.take(batch.epoch, number, record))


class OutboxMachine(RuleBasedStateMachine):
    """A gateway, a server, and everything between them that can go wrong."""

    receipts = Bundle[Receipt]("receipts")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.now_ns = 0
        self.incarnations = 1
        self.server = Server(1)
        self.made = 0
        self.numbers: dict[tuple[UUID, int], bytes] = {}
        self.open()

    def open(self) -> None:
        self.database = open_database(self.directory, START)
        self.outbox = Outbox(self.database, now=self.clock.now)

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.directory)

    @rule()
    def read_a_device(self) -> None:
        self.made += 1
        with self.database.transaction() as connection:
            self.outbox.add(connection, b"record %d" % self.made, "0" * 32, None)

    @rule(target=receipts, is_lost=st.booleans(), size=st.integers(1, 3))
    def send(self, is_lost: bool, size: int) -> Receipt:
        batch = self.outbox.due(self.now_ns, max_records=size, max_bytes=65536)
        answer = Receipt(incarnation=self.server.incarnation, epoch=self.outbox.epoch, ranges=())
        if batch is None:
            return answer
        self.outbox.sent(batch, self.now_ns)
        for number, record in enumerate(batch.records, start=batch.first):
            # The same number never stands for other bytes: not after any crash.
            assert self.numbers.setdefault((batch.epoch, number), record) == record
            if not is_lost:
                answer = self.server.take(batch.epoch, number, record)
        return answer

    @rule(answer=receipts)
    def receive(self, answer: Receipt) -> None:
        if answer.incarnation == self.server.incarnation:
            self.outbox.receipt(answer)

    @rule(seconds=st.sampled_from([1, 30, 1000]))
    def wait(self, seconds: int) -> None:
        self.now_ns += seconds * S

    @rule(seconds=st.sampled_from([0, 3, 30]))
    def reconnect(self, seconds: int) -> None:
        self.outbox.hasten(self.now_ns + seconds * S)

    @rule()
    def crash(self) -> None:
        self.database.close()
        self.now_ns = 0
        self.open()

    @rule(first=st.integers(1, 20), length=st.integers(0, 20))
    def ask_again(self, first: int, length: int) -> None:
        self.outbox.resend(Resend(epoch=self.outbox.epoch, ranges=((first, first + length),)))

    @precondition(lambda self: self.incarnations < 3)
    @rule()
    def restore_the_database(self) -> None:
        self.incarnations += 1
        self.server = Server(self.incarnations)

    @invariant()
    def nothing_undelivered_is_forgotten(self) -> None:
        rows = self.database.connection.execute("SELECT record FROM outbox")
        kept = sorted(bytes(record) for (record,) in rows)

        assert kept == sorted(b"record %d" % number for number in range(1, self.made + 1))

    @rule()
    def have_good_days(self) -> None:
        for _ in range(2):  # the second for what another database did not know
            self.now_ns += 10_000 * S
            self.outbox.receipt(self.server.greeting(self.outbox.epoch))
            exchange(self.outbox, self.server, self.now_ns, self.numbers)

        assert self.outbox.standing().undelivered == 0
        assert len(self.server.records) == self.made


OutboxMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestOutboxMachine = OutboxMachine.TestCase


@given(before=st.integers(0, 6), lost=st.integers(0, 6), after=st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_a_journal_put_back_from_a_copy_loses_nothing_that_comes_after(
    before: int, lost: int, after: int
) -> None:
    server, clock = Server(1), FakeClock()
    with tempfile.TemporaryDirectory() as scratch:
        live, copy = Path(scratch) / "live", Path(scratch) / "copy"
        add_and_exchange(live, server, clock, [b"before %d" % each for each in range(before)])
        shutil.copytree(live, copy)
        add_and_exchange(live, server, clock, [b"lost %d" % each for each in range(lost)])
        numbers = {
            (epoch, number): record
            for epoch, known in server.known.items()
            for number, record in known.items()
        }

        add_and_exchange(copy, server, clock, [b"after %d" % each for each in range(after)])

    assert {b"after %d" % each for each in range(after)} <= server.records
    for (epoch, number), record in numbers.items():
        assert server.known[epoch][number] == record


def add_and_exchange(
    directory: Path, server: Server, clock: FakeClock, records: list[bytes]
) -> None:
    database = open_database(directory, START)
    outbox = Outbox(database, now=clock.now)
    for record in records:
        with database.transaction() as connection:
            outbox.add(connection, record, "0" * 32, None)
    now_ns = 0
    while outbox.standing().undelivered:
        while batch := outbox.due(now_ns, max_records=5, max_bytes=65536):
            outbox.sent(batch, now_ns)
            for number, record in enumerate(batch.records, start=batch.first):
                outbox.receipt(server.take(batch.epoch, number, record))
        now_ns += 10_000 * S
    database.close()
