"""What is tried next, from what failed."""

from __future__ import annotations

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
)
from bleak_retry_connector import BleakConnectionError, BleakNotFoundError
from dbus_fast.errors import DBusError

from gateway.ble.ladder import (
    ConnectLadder,
    Rung,
    SilenceLadder,
    StartLadder,
    Trouble,
    classify,
)

WAIT, DISCONNECT, FORGET = Rung.WAIT, Rung.DISCONNECT, Rung.FORGET
RESTART, CYCLE = Rung.RESTART_SCANNER, Rung.POWER_CYCLE


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


# Names and texts as bluetoothd gives them: BlueZ 5.66, src/error.c and src/gatt-client.c; what
# bleak-retry-connector 4.7 makes of them keeps the text, and the first error as the cause.
@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (
            BleakDBusError("org.bluez.Error.InProgress", ["Operation already in progress"]),
            Trouble.IN_PROGRESS,
        ),
        (
            BleakConnectionError(
                "F0:00: Failed to connect after 1 attempt(s): [org.bluez.Error.InProgress] x"
            ),
            Trouble.IN_PROGRESS,
        ),
        (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), Trouble.NOT_READY),
        (
            BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]),
            Trouble.ABORTED,
        ),
        (
            BleakDBusError("org.bluez.Error.AuthenticationFailed", ["Authentication Failed"]),
            Trouble.BOND_LOST,
        ),
        (BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"]), Trouble.NOT_PAIRED),
        (BleakError("failed to discover services, device disconnected"), Trouble.UNRESOLVED),
        (TimeoutError(), Trouble.NO_ANSWER),
        (caused(BleakNotFoundError("F0:00: Failed"), TimeoutError()), Trouble.NO_ANSWER),
        (BleakDBusError("org.bluez.Error.Failed", ["Not connected"]), Trouble.HUNG_UP),
        (EOFError(), Trouble.HUNG_UP),
        (FileNotFoundError(2, "no bus"), Trouble.ABSENT),
        (
            DBusError("org.freedesktop.DBus.Error.ServiceUnknown", "org.bluez was not provided"),
            Trouble.ABSENT,
        ),
        (
            BleakBluetoothNotAvailableError(
                "No Bluetooth adapters found.", BleakBluetoothNotAvailableReason.NO_BLUETOOTH
            ),
            Trouble.ABSENT,
        ),
    ],
)
def test_an_error_means_one_thing(error: Exception, trouble: Trouble) -> None:
    assert classify(error) is trouble


@pytest.mark.parametrize(
    ("trouble", "rungs"),
    [
        (
            Trouble.IN_PROGRESS,
            [WAIT, DISCONNECT, FORGET, RESTART, CYCLE, DISCONNECT, DISCONNECT],
        ),
        (Trouble.NO_ANSWER, [DISCONNECT, DISCONNECT, FORGET, DISCONNECT]),
        (Trouble.UNRESOLVED, [DISCONNECT, FORGET, DISCONNECT]),
        (Trouble.PAIRING_REFUSED, [WAIT, WAIT]),
        (Trouble.HUNG_UP, [WAIT, WAIT]),
    ],
)
def test_the_same_failure_again_takes_the_next_rung(trouble: Trouble, rungs: list[Rung]) -> None:
    ladder = ConnectLadder()

    assert [ladder.climb(trouble) for _ in rungs] == rungs


def test_another_failure_or_a_good_visit_begins_from_the_ground() -> None:
    ladder = ConnectLadder()
    ladder.climb(Trouble.IN_PROGRESS)
    ladder.climb(Trouble.IN_PROGRESS)

    other = ladder.climb(Trouble.ABORTED)
    ladder.climb(Trouble.IN_PROGRESS)
    ladder.reset()
    after_reset = ladder.climb(Trouble.IN_PROGRESS)

    assert (other, after_reset) == (WAIT, WAIT)


def test_a_start_that_fails_is_told_the_second_time_and_tried_ever_more_seldom() -> None:
    ladder = StartLadder(shortest_s=2)

    steps: list[tuple[Rung, bool, float]] = []
    for _ in range(8):
        rung = ladder.climb(Trouble.IN_PROGRESS)
        steps.append((rung, ladder.is_exhausted, ladder.pause_s))

    assert steps[:3] == [(WAIT, False, 2), (RESTART, True, 4), (CYCLE, True, 8)]
    assert [pause_s for _, _, pause_s in steps][3:] == [16, 32, 60, 60, 60]


def test_an_adapter_that_is_not_there_is_not_switched() -> None:
    ladder = StartLadder(shortest_s=2)

    assert {ladder.climb(Trouble.ABSENT) for _ in range(9)} == {WAIT}


def test_silence_restarts_then_switches_then_is_told_and_becomes_seldom() -> None:
    ladder = SilenceLadder(patience_s=90, now_s=0)

    steps: list[tuple[float, Rung, bool]] = []
    for _ in range(6):
        now_s = ladder.due_s
        steps.append((now_s, ladder.climb(now_s), ladder.is_exhausted))

    assert steps == [
        (90, RESTART, False),
        (180, CYCLE, False),
        (270, CYCLE, True),
        (450, CYCLE, True),
        (810, CYCLE, True),
        (1530, CYCLE, True),
    ]


def test_a_home_that_is_silent_for_ever_is_switched_six_times_a_day_in_the_end() -> None:
    ladder = SilenceLadder(patience_s=90, now_s=0)

    cycles: list[float] = []
    while (now_s := ladder.due_s) < 4 * 86_400:
        if ladder.climb(now_s) is CYCLE:
            cycles.append(now_s)

    assert len([at for at in cycles if at >= 3 * 86_400]) == 6


def test_a_quiet_home_is_not_disturbed_once_it_is_known_to_be_quiet() -> None:
    # A cuff that is used at 7 and at 19, and no other radio within reach.
    ladder = SilenceLadder(patience_s=90, now_s=0)

    cycles: list[float] = []
    told: list[float] = []
    for hour in range(12, 24 * 10, 12):
        heard_s = hour * 3600.0
        while (now_s := ladder.due_s) < heard_s:
            if ladder.climb(now_s) is CYCLE:
                cycles.append(now_s)
            if ladder.is_exhausted:
                told.append(now_s)
        ladder.heard(heard_s)

    # Four hours of patience, then restart and reset: once in each half day from then on.
    assert len([at for at in cycles if at > 86_400]) <= 2 * 9
    assert [at for at in told if at > 43_200] == []


def test_what_is_heard_soon_after_a_reset_does_not_make_it_more_patient() -> None:
    ladder = SilenceLadder(patience_s=90, now_s=0)
    for _ in range(2):
        ladder.climb(ladder.due_s)

    ladder.heard(182)

    assert ladder.due_s == 182 + 90
