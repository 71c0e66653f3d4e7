"""The outbox: numbers, the timer, receipts, and what a changed server means."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from device_adapters.contract.messages import ContractError, Receipt, Resend
from gateway.store.database import Database
from gateway.store.journal import Journal
from gateway.store.outbox import KEPT, Batch, Outbox
from tests.unit.gateway.fakes import BARE_FRAME, FakeClock, keep

SERVER = UUID("5e000000-0000-4000-8000-000000000001")
RESTORED = UUID("5e000000-0000-4000-8000-000000000002")
S = 10**9


def add(database: Database, outbox: Outbox, *records: bytes) -> None:
    for record in records:
        with database.transaction() as connection:
            outbox.add(connection, record, "0" * 32, None)


def due(outbox: Outbox, now_ns: int = 0, max_records: int = 100) -> Batch | None:
    return outbox.due(now_ns, max_records=max_records, max_bytes=65536)


def send_all(outbox: Outbox, now_ns: int = 0) -> list[tuple[UUID, int, bytes]]:
    """Send everything that is due and return it: epoch, number, record."""
    sent: list[tuple[UUID, int, bytes]] = []
    while batch := due(outbox, now_ns):
        outbox.sent(batch, now_ns)
        sent += [
            (batch.epoch, number, record)
            for number, record in enumerate(batch.records, start=batch.first)
        ]
    return sent


def receipt(
    outbox: Outbox,
    *ranges: tuple[int, int],
    epoch: UUID | None = None,
    conflicts: Sequence[int] = (),
    incarnation: UUID = SERVER,
) -> Receipt:
    return Receipt(
        incarnation=incarnation,
        epoch=epoch or outbox.epoch,
        ranges=ranges,
        conflicts=tuple(conflicts),
    )


def test_ranges_that_overlap_are_walked_once(database: Database, outbox: Outbox) -> None:
    # As many as a message from the server can hold; walked one by one this takes minutes.
    add(database, outbox, *[b"a"] * 2000)
    send_all(outbox)
    ranges = ((1, 2**63 - 1),) * 10_000

    began = time.monotonic()
    kept = outbox.resend(Resend(epoch=outbox.epoch, ranges=ranges))
    send_all(outbox)
    done = outbox.receipt(receipt(outbox, *ranges))

    assert (kept, done.delivered) == (2000, 2000)
    assert time.monotonic() - began < 5


def test_ranges_that_meet_count_each_number_once(database: Database, outbox: Outbox) -> None:
    add(database, outbox, *[b"a"] * 9)
    send_all(outbox)

    done = outbox.receipt(receipt(outbox, (7, 8), (1, 2), (2, 4), (3, 3), (5, 5)))

    assert done.delivered == 7
    assert [each.first for each in [due(outbox, 3600 * S)] if each] == [6]


def test_records_are_numbered_from_one(database: Database, outbox: Outbox) -> None:
    add(database, outbox, b"a", b"b", b"c")

    sent = send_all(outbox)

    assert sent == [(outbox.epoch, 1, b"a"), (outbox.epoch, 2, b"b"), (outbox.epoch, 3, b"c")]


def test_a_message_holds_at_most_so_many_records(database: Database, outbox: Outbox) -> None:
    add(database, outbox, b"a", b"b", b"c")

    batch = due(outbox, max_records=2)

    assert batch is not None
    assert (batch.first, batch.records, batch.last) == (1, (b"a", b"b"), 2)


def test_a_message_stays_below_its_size(database: Database, outbox: Outbox) -> None:
    add(database, outbox, b"a" * 400, b"b" * 400, b"c" * 400)

    batch = outbox.due(0, max_records=100, max_bytes=1000)

    assert batch is not None
    assert len(batch.records) == 2


def test_a_message_has_no_hole(database: Database, outbox: Outbox) -> None:
    add(database, outbox, b"a", b"b", b"c")
    send_all(outbox)
    outbox.receipt(receipt(outbox, (2, 2)))

    batch = due(outbox, now_ns=30 * S)

    assert batch is not None
    assert batch.records == (b"a",)


def test_the_timer_doubles_from_30_seconds_to_15_minutes(
    database: Database, outbox: Outbox
) -> None:
    add(database, outbox, b"a")
    now_ns, waits = 0, list[int]()

    for _ in range(8):
        assert [record for _, _, record in send_all(outbox, now_ns)] == [b"a"]
        next_ns = outbox.next_due_ns()
        assert next_ns is not None
        assert due(outbox, next_ns - 1) is None
        waits.append((next_ns - now_ns) // S)
        now_ns = next_ns

    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_everything_undelivered_is_due_at_once_after_a_start(
    database: Database, outbox: Outbox, clock: FakeClock
) -> None:
    add(database, outbox, b"a", b"b")
    send_all(outbox, now_ns=1000 * S)
    outbox.receipt(receipt(outbox, (1, 1)))

    restarted = Outbox(database, now=clock.now)

    assert restarted.epoch == outbox.epoch
    assert [number for _, number, _ in send_all(restarted)] == [2]


def test_a_receipt_ends_the_sending(database: Database, outbox: Outbox) -> None:
    add(database, outbox, b"a", b"b", b"c")
    send_all(outbox)

    done = outbox.receipt(receipt(outbox, (1, 1), (3, 3)))

    assert done.delivered == 2
    assert outbox.standing().undelivered == 1
    assert [number for _, number, _ in send_all(outbox, 30 * S)] == [2]


def test_a_receipt_of_numbers_that_were_never_sent_is_not_believed(
    database: Database, outbox: Outbox
) -> None:
    add(database, outbox, b"a")

    done = outbox.receipt(receipt(outbox, (1, 1000)))

    assert done.delivered == 0
    assert [number for _, number, _ in send_all(outbox)] == [1]


def test_a_receipt_of_an_unknown_epoch_changes_nothing(database: Database, outbox: Outbox) -> None:
    add(database, outbox, b"a")
    send_all(outbox)

    done = outbox.receipt(receipt(outbox, (1, 1), epoch=RESTORED))

    assert done.delivered == 0


@pytest.mark.parametrize("wrong", [(0, 1), (2, 1), (-5, -1), (1, 2**63)])
def test_a_range_that_is_none_is_refused(outbox: Outbox, wrong: tuple[int, int]) -> None:
    with pytest.raises(ContractError, match="range"):
        outbox.receipt(receipt(outbox, wrong))
    with pytest.raises(ContractError, match="range"):
        outbox.resend(Resend(epoch=outbox.epoch, ranges=(wrong,)))


def test_a_conflict_starts_an_epoch_and_numbers_what_is_undelivered_anew(
    database: Database, outbox: Outbox
) -> None:
    add(database, outbox, b"a", b"b", b"c", b"d")
    old = outbox.epoch
    send_all(outbox)
    outbox.receipt(receipt(outbox, (1, 1)))

    # The server's ranges cover 2, 3 and 4 for other bytes: the journal is a copy of an old one.
    done = outbox.receipt(receipt(outbox, (1, 9), conflicts=[3]))

    assert outbox.epoch != old
    assert done.renumbered == 3
    assert send_all(outbox) == [
        (outbox.epoch, 1, b"b"),
        (outbox.epoch, 2, b"c"),
        (outbox.epoch, 3, b"d"),
    ]


def test_a_conflict_moves_a_record_that_a_range_had_marked_delivered(
    database: Database, outbox: Outbox
) -> None:
    add(database, outbox, b"a", b"b")
    old = outbox.epoch
    send_all(outbox)
    outbox.receipt(receipt(outbox, (1, 9)))  # cumulative, made before 2 was compared

    outbox.receipt(receipt(outbox, (1, 9), epoch=old, conflicts=[2]))

    assert send_all(outbox) == [(outbox.epoch, 1, b"b")]


def test_a_conflict_told_twice_starts_one_epoch(database: Database, outbox: Outbox) -> None:
    add(database, outbox, b"a")
    old = outbox.epoch
    send_all(outbox)
    conflict = receipt(outbox, epoch=old, conflicts=[1])

    outbox.receipt(conflict)
    new = outbox.epoch
    again = outbox.receipt(conflict)

    assert again.renumbered == 0
    assert outbox.epoch == new


def test_a_conflict_of_an_epoch_before_goes_to_the_end_of_this_one(
    database: Database, outbox: Outbox
) -> None:
    add(database, outbox, b"a", b"b")
    first = outbox.epoch
    send_all(outbox)
    outbox.receipt(receipt(outbox, (1, 1)))
    outbox.receipt(receipt(outbox, conflicts=[2]))
    second = outbox.epoch
    add(database, outbox, b"c")
    send_all(outbox)

    # Another database: it has other bytes for number 1 of the first epoch.
    outbox.receipt(receipt(outbox, epoch=second, incarnation=RESTORED))
    outbox.receipt(receipt(outbox, epoch=first, conflicts=[1], incarnation=RESTORED))

    assert outbox.epoch == second
    assert send_all(outbox) == [(second, 1, b"b"), (second, 2, b"c"), (second, 3, b"a")]


def test_another_database_is_sent_everything_that_is_kept(
    database: Database, outbox: Outbox
) -> None:
    add(database, outbox, b"a", b"b", b"c")
    send_all(outbox)
    outbox.receipt(receipt(outbox, (1, 3)))

    done = outbox.receipt(receipt(outbox, (1, 1), incarnation=RESTORED))

    assert done.is_other_incarnation
    assert [number for _, number, _ in send_all(outbox)] == [2, 3]


def test_what_the_server_misses_is_sent_again_while_it_is_kept(
    database: Database, outbox: Outbox
) -> None:
    add(database, outbox, b"a", b"b", b"c")
    send_all(outbox)
    outbox.receipt(receipt(outbox, (1, 3)))

    kept = outbox.resend(Resend(epoch=outbox.epoch, ranges=((2, 2), (3, 999))))

    assert kept == 2
    assert [record for _, _, record in send_all(outbox)] == [b"b", b"c"]


def test_what_was_delivered_is_forgotten_after_thirty_days(
    database: Database, outbox: Outbox, journal: Journal, clock: FakeClock
) -> None:
    keep(journal, BARE_FRAME, BARE_FRAME)
    with database.transaction() as connection:
        for number in (1, 2):
            outbox.add(connection, b"x", "0" * 32, number)
        connection.execute("UPDATE journal SET is_decoded = 1")
    send_all(outbox)
    outbox.receipt(receipt(outbox, (1, 1)))

    clock.pass_s(KEPT.total_seconds())
    early = outbox.prune()
    clock.pass_s(timedelta(seconds=1).total_seconds())
    late = outbox.prune()

    assert (early, late) == (0, 1)
    left = database.connection.execute("SELECT number FROM journal").fetchall()
    assert left == [(2,)]
    assert outbox.standing().undelivered == 1


def test_numbers_go_on_after_all_was_forgotten(
    database: Database, outbox: Outbox, clock: FakeClock
) -> None:
    add(database, outbox, b"a")
    send_all(outbox)
    outbox.receipt(receipt(outbox, (1, 1)))
    clock.pass_s(KEPT.total_seconds() + 1)
    outbox.prune()

    add(database, outbox, b"b")

    assert [number for _, number, _ in send_all(outbox)] == [2]


def test_a_timer_of_an_earlier_boot_holds_nothing_back(outbox: Outbox, database: Database) -> None:
    with database.transaction() as connection:
        outbox.add(connection, b"{}", "0" * 32, None)
    batch = outbox.due(0, max_records=1, max_bytes=65536)
    assert batch is not None
    outbox.sent(batch, 40 * 86_400 * 10**9)  # forty days after that boot

    assert outbox.due(60 * 10**9, max_records=1, max_bytes=65536) is not None
