"""Ladders: what to try next when a connection or the scanner fails, from what failed.

Decided here, carried out by `gateway.ble.radio`. What the rungs rest on:

- ``InProgress`` at a connect is an earlier attempt that bluetoothd still holds, after a client
  died or the controller hung. It stays until ``Disconnect`` cancels it or the device object is
  removed (bleak-retry-connector #226, #217); bleak knows of no retry for it.
- ``InProgress`` at a stop can leave bluetoothd sure that it scans while the kernel does not; then
  only a power cycle helps (bleak #2021, bluez #807).
- An adapter may fall silent without an error; Home Assistant restarts its scanner after 90 s, then
  resets the adapter (home-assistant/core #77043, habluetooth #222).
- A device that is connected does not advertise: bluetoothd keeps a dead client's link (bluez #89).
- ``RemoveDevice`` deletes the bond too: only for devices that have none.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final

from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError
from dbus_fast.errors import DBusError


class Trouble(StrEnum):
    """What failed; the value is the sentence for whoever mends it."""

    IN_PROGRESS = "the radio was busy with an earlier attempt"
    NOT_READY = "the radio was not ready"
    ABORTED = "does not answer: the connection was given up"
    NO_ANSWER = "does not answer"
    UNRESOLVED = "does not say what it can do"
    PAIRING_REFUSED = "pairing was refused: no pairing window is open"
    NOT_PAIRED = "wants to be paired first"
    BOND_LOST = "the bond is lost: pair again"
    BOND_DOUBTED = "ends each connection at once: the bond may be lost, then pair again"
    HUNG_UP = "hung up in the middle"
    CONVERSATION = "the conversation failed"
    ABSENT = "there is no Bluetooth adapter, or no Bluetooth service"


class Rung(Enum):
    """What to do next. Each is harmless where it was not needed."""

    WAIT = "wait for the next advertisement"
    DISCONNECT = "disconnect, which also cancels a pending connect"
    FORGET = "remove the device from BlueZ unless it is bonded"
    RESTART_SCANNER = "stop listening and start again"
    POWER_CYCLE = "switch the adapter off and on"


_CONNECT_LADDERS: Final[dict[Trouble, tuple[Rung, ...]]] = {
    Trouble.IN_PROGRESS: (
        Rung.WAIT,
        Rung.DISCONNECT,
        Rung.FORGET,
        Rung.RESTART_SCANNER,
        Rung.POWER_CYCLE,
    ),
    Trouble.NOT_READY: (Rung.RESTART_SCANNER, Rung.POWER_CYCLE),
    Trouble.ABORTED: (Rung.WAIT, Rung.DISCONNECT, Rung.FORGET),
    # A sleeping cuff looks the same: one device that does not answer is no reason to cut the
    # others off.
    Trouble.NO_ANSWER: (Rung.DISCONNECT, Rung.DISCONNECT, Rung.FORGET),
    # bluetoothd goes by the table that it remembers; without the device object it has none.
    Trouble.UNRESOLVED: (Rung.DISCONNECT, Rung.FORGET),
}
_START_LADDERS: Final[dict[Trouble, tuple[Rung, ...]]] = {
    Trouble.IN_PROGRESS: (Rung.WAIT, Rung.RESTART_SCANNER, Rung.POWER_CYCLE),
    Trouble.NOT_READY: (Rung.WAIT, Rung.POWER_CYCLE),
    Trouble.NO_ANSWER: (Rung.WAIT, Rung.RESTART_SCANNER, Rung.POWER_CYCLE),
    Trouble.ABSENT: (Rung.WAIT,),
}


def classify(error: BaseException) -> Trouble:
    """Return what an error of the radio means, by itself or by what caused it."""
    cause: BaseException | None = error
    while cause is not None:
        if trouble := _classified(cause):
            return trouble
        cause = cause.__cause__
    return Trouble.HUNG_UP


def _classified(error: BaseException) -> Trouble | None:
    if isinstance(error, BleakBluetoothNotAvailableError | FileNotFoundError | ConnectionError):
        return Trouble.ABSENT
    if isinstance(error, TimeoutError):
        return Trouble.NO_ANSWER
    name, text = _named(error)
    for part, trouble in _BY_NAME.items():
        if part in name or part in text:
            return trouble
    return None


_BY_NAME: Final = {
    "Error.InProgress": Trouble.IN_PROGRESS,
    "in progress": Trouble.IN_PROGRESS,
    "Error.NotReady": Trouble.NOT_READY,
    "AuthenticationFailed": Trouble.BOND_LOST,
    "Key Missing": Trouble.BOND_LOST,
    "key-missing": Trouble.BOND_LOST,
    "Not paired": Trouble.NOT_PAIRED,
    "Insufficient Authentication": Trouble.NOT_PAIRED,
    "Insufficient Encryption": Trouble.NOT_PAIRED,
    "le-connection-abort-by-local": Trouble.ABORTED,
    "failed to discover services": Trouble.UNRESOLVED,
    "ServiceUnknown": Trouble.ABSENT,
    "NameHasNoOwner": Trouble.ABSENT,
    "No Bluetooth adapters": Trouble.ABSENT,
    "adapter '": Trouble.ABSENT,  # bleak: adapter 'hci1' not found
    "not found": Trouble.NO_ANSWER,  # the device object went before it could be connected to
    "timed out": Trouble.NO_ANSWER,
}


def _named(error: BaseException) -> tuple[str, str]:
    if isinstance(error, BleakDBusError):
        return error.dbus_error, str(error)
    if isinstance(error, DBusError):
        return error.type, error.text
    return "", str(error)


class ConnectLadder:
    """One device's rungs; the highest is tried again as long as the same thing fails."""

    def __init__(self) -> None:
        self._trouble: Trouble | None = None
        self._height = 0

    def climb(self, trouble: Trouble) -> Rung:
        """Return what to do after a connection failed so."""
        self._height = self._height + 1 if trouble is self._trouble else 0
        self._trouble = trouble
        rungs = _CONNECT_LADDERS.get(trouble, (Rung.WAIT,))
        if self._height < len(rungs):
            return rungs[self._height]
        # What the whole adapter was reset for once is not this device's to ask for again.
        return Rung.DISCONNECT if Rung.DISCONNECT in rungs else Rung.WAIT

    def reset(self) -> None:
        """Begin from the ground: a visit went well."""
        self._trouble, self._height = None, 0


class StartLadder:
    """The scanner's rungs when it cannot be started, and how long to wait for the next try."""

    def __init__(self, *, shortest_s: float, longest_s: float = 60.0) -> None:
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._failures = 0

    @property
    def is_exhausted(self) -> bool:
        """Tell whether every rung has failed: it is time to say so."""
        return self._failures > 1

    @property
    def pause_s(self) -> float:
        """Return how long to wait before the next try."""
        return min(self._shortest_s * 2 ** max(self._failures - 1, 0), self._longest_s)

    def climb(self, trouble: Trouble) -> Rung:
        """Return what to do after a start failed so."""
        rungs = _START_LADDERS.get(trouble, _START_LADDERS[Trouble.NO_ANSWER])
        rung = rungs[min(self._failures, len(rungs) - 1)]
        self._failures += 1
        return rung

    def reset(self) -> None:
        """Begin from the ground: the scanner has started."""
        self._failures = 0


class SilenceLadder:
    """The scanner's rungs when it hears nothing at all, and how long to be patient with it.

    A home where no other radio is near is silent for hours and well. A silence that ended some
    time after the last rung ended by itself: from then on the ladder waits for twice as long, up
    to ``longest_s``. Above the last rung each further try waits twice as long as the one before.
    """

    RUNGS: Final = (Rung.RESTART_SCANNER, Rung.POWER_CYCLE)

    def __init__(self, *, patience_s: float, now_s: float, longest_s: float = 4 * 3600.0) -> None:
        self._shortest_s = self._patience_s = patience_s
        self._longest_s = longest_s
        self._heard_s = self._acted_s = now_s
        self._height = 0

    @property
    def is_exhausted(self) -> bool:
        """Tell whether the adapter was reset and nothing was heard since."""
        return self._height > len(self.RUNGS)

    @property
    def due_s(self) -> float:
        """Return when the next rung is due, on the clock of `heard`."""
        doublings = max(self._height - len(self.RUNGS), 0)
        pause_s = min(self._patience_s * 2**doublings, max(self._longest_s, self._patience_s))
        return max(self._heard_s, self._acted_s) + pause_s

    def started(self, now_s: float) -> None:
        """Note that the scanner has started: what it hears counts from now on."""
        self._acted_s = now_s

    def heard(self, now_s: float) -> None:
        """Note that something was heard, or that a visit shows the radio alive."""
        silent_s = now_s - self._heard_s
        # Soon after a rung, the rung may have helped; later, the silence was the home's own.
        if self._height and now_s - self._acted_s > self._shortest_s / 2:
            self._patience_s = min(max(2 * silent_s, self._patience_s), self._longest_s)
        self._heard_s, self._height = now_s, 0

    def climb(self, now_s: float) -> Rung:
        """Return what to do, because a rung is due."""
        rung = self.RUNGS[min(self._height, len(self.RUNGS) - 1)]
        self._height += 1
        self._acted_s = now_s
        return rung
