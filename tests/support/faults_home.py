"""A home of the fault suite: its devices, its gateway, and the three books of both."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg

from deploy.local import books
from deploy.local.books import Comparison, Record
from gateway.status import read_status
from gateway.store.database import FILE_NAME
from tests.support.faketime import HomeClock
from tests.support.faults import COUNTS, Count, Site, patient_id
from tests.support.gateway import GatewayProcess, gateway_environment
from tests.support.radio import RadioWorld, VirtualDevice, wait_until

_SETTLE_S: Final = 30.0
_MANNERS: Final = ("--timezone", "Europe/Stockholm", "--linger-s", "0.2")
_ROOM: Final = "1000"  # a cuff without room drops records that nobody has fetched
_OFFERED_S: Final = "3600"  # an oximeter is heard until somebody has fetched what it holds

# Blood Pressure Measurement with time stamp, pulse rate and user, in this order: flags 1,
# pressures 6, time stamp 7, pulse 2 (Bluetooth SIG, GATT Specification Supplement, 3.31).
_HAS_USER: Final = 0x08
_USER_AT: Final = 16


class Home:
    """One or more gateways that hear the same devices, all by one clock if there is one.

    Everything it has is its own; only the radio is shared with other homes, which are deaf to
    its devices by their configuration.
    """

    def __init__(
        self, site: Site, world: RadioWorld, name: str, clock: HomeClock | None = None
    ) -> None:
        self.clock = clock
        self.site = site
        self.world = world
        self.directory = site.directory / name
        self.directory.mkdir()
        self.name = f"{name}-{secrets.token_hex(4)}"
        self.cuffs: list[VirtualDevice] = []
        self.oximeters: list[VirtualDevice] = []
        self._owners: dict[str, Mapping[int | None, str]] = {}
        self._gateways: dict[str, GatewayProcess] = {}
        self._states: dict[str, Path] = {}
        self._values: Iterator[int] = itertools.count()

    @property
    def _clock_environment(self) -> Mapping[str, str]:
        return self.clock.environment if self.clock else {}

    @property
    def devices(self) -> Sequence[VirtualDevice]:
        """Return all devices of the home."""
        return [*self.cuffs, *self.oximeters]

    def cuff(self, *arguments: str, slots: Collection[int | None] = (None,)) -> VirtualDevice:
        """Put a cuff into the home; each of its user slots is another patient's."""
        address = self._owned(slots)
        given = [*_MANNERS, "--capacity", _ROOM, *arguments]
        device = self.world.cuff(address, *given, environment=self._clock_environment)
        self.cuffs.append(device)
        return device

    def oximeter(self, *arguments: str) -> VirtualDevice:
        """Put an oximeter into the home, which keeps what it has given: its last 20 records."""
        address = self._owned((None,))
        given = [*_MANNERS, "--capacity", "20", "--offered-s", _OFFERED_S, *arguments]
        device = self.world.oximeter(address, *given, environment=self._clock_environment)
        self.oximeters.append(device)
        return device

    def register(self, *gateways: str) -> None:
        """Make the home known to the server; call it when all devices are in it."""
        names = [self.gateway_id(each) for each in gateways or ("",)]
        self.site.register(names, self._owners, [each.address for each in self.oximeters])

    def gateway_id(self, which: str = "") -> str:
        """Return a gateway's id."""
        return f"{self.name}{which}"

    def state(self, which: str = "") -> Path:
        """Return where a gateway keeps its file."""
        return self._states.setdefault(which, self.directory / f"state{which}")

    def start(
        self, which: str = "", *, environment: Mapping[str, str] | None = None, **settings: str
    ) -> GatewayProcess:
        """Start a gateway that talks to the home's devices and no others; its log begins anew."""
        name = self.gateway_id(which)
        whole = self.world.environment | gateway_environment(
            self.site.broker, name, self.state(which)
        )
        settings = {
            "devices": ",".join(each.address for each in self.devices),
            "cool_down_s": "0.2",
            **settings,
        }
        whole |= {f"HEMVITAL_GATEWAY_{key.upper()}": value for key, value in settings.items()}
        whole |= environment or self._clock_environment
        log = self.directory / f"gateway{which}.log"
        log.unlink(missing_ok=True)
        self._gateways[which] = process = GatewayProcess(whole, log)
        process.wait_for_log("gateway started")
        return process

    def stop(self, which: str = "") -> None:
        """Ask a gateway to end, and wait until it has."""
        process = self._gateways.pop(which)
        assert process.stop() == 0, process.text()

    def kill(self, which: str = "") -> None:
        """End a gateway as a power cut would."""
        self._gateways.pop(which).kill()

    def end(self) -> None:
        """End what still runs in the home."""
        for process in self._gateways.values():
            process.kill()
        for device in self.devices:
            device.kill()

    def cut_power(self, copy: str, which: str = "") -> None:
        """Let nothing that the gateway writes from now on be there at its next start.

        Its files are copied while it stands still, and are what the next start finds.
        """
        process = self._gateways[which]
        os.kill(process.pid, signal.SIGSTOP)
        shutil.copytree(self.state(which), self.directory / copy)
        self.kill(which)
        self._states[which] = self.directory / copy

    def measure(self, device: VirtualDevice, count: int = 1, **step: Any) -> None:
        """Let a device measure, each time something else, and wait until it has."""
        self._measure([device], count, step)

    def measure_all(self, count: int = 1) -> None:
        """Let every device measure, as `measure` does, all of them at once."""
        self._measure(self.devices, count, {})

    def settle(self, within_s: float = _SETTLE_S) -> Comparison:
        """Wait until all that was measured is receipted and in its place; return the books."""
        found = self.compare()

        def is_settled() -> bool:
            nonlocal found
            found = self.compare()
            return found.is_sound and not self.undelivered()

        try:
            wait_until(is_settled, within_s=within_s, what="everything stored and receipted")
        except AssertionError as error:
            for process in self._gateways.values():
                error.add_note(process.text()[-4000:])
            error.add_note(f"{found}; undelivered {self.undelivered()}")
            error.add_note("\n".join(self._misplaced()))
            raise
        return self.compare()

    def count(self, scenario: str, comparison: Comparison | None = None) -> Comparison:
        """Hold the books against each other for the last time, and note the scenario's line."""
        found = comparison or self.settle()
        COUNTS.append(
            Count(scenario=scenario, comparison=found, kept_in_window=self.kept_in_window())
        )
        return found

    def undelivered(self) -> int:
        """Return how many records wait on the gateways."""
        found = [read_status(state) for state in self._states.values()]
        return sum(each.undelivered + each.undecoded for each in found)

    def _misplaced(self) -> Iterator[str]:
        """Say which readings are at another time than when they were measured."""
        measured = books.measured(each.ledger_file for each in self.devices)
        for each in self.site.stored([each.address for each in self.devices]):
            if (at := measured.get(each.record)) is None:
                yield f"{each.record}: not of this home"
            elif abs(each.effective_at - at) > books.TIME_TOLERANCE:
                yield f"{each.record}: measured {at}, stored {each.effective_at}"

    def is_all_sent(self) -> bool:
        """Tell whether everything that was measured is journalled and at the broker."""
        measured = books.measured(each.ledger_file for each in self.devices)
        return self.journalled() >= measured.keys() and not any(
            _count(state, "outbox WHERE sent_us IS NULL")
            or _count(state, "journal WHERE is_decoded = 0")
            for state in self._states.values()
        )

    def compare(self) -> Comparison:
        """Hold the books against each other."""
        ledgers = [each.ledger_file for each in self.devices]
        measured = books.measured(ledgers)
        try:
            stored = self.site.stored([each.address for each in self.devices])
        except psycopg.OperationalError:  # the database is away
            stored = []
        return books.compare(
            given=books.given(ledgers),
            measured=measured,
            remembered=frozenset(measured),  # whatever was measured must be fetched in the end
            journalled=self.journalled(),
            stored=stored,
            patient_of=self._patient_of,
        )

    def journalled(self) -> frozenset[Record]:
        """Return what the gateways have on disk of this home's devices."""
        files = [state / FILE_NAME for state in self._states.values()]
        found = books.journalled(each for each in files if each.exists())
        return frozenset(record for record in found if record[0] in self._owners)

    def journalled_by(self, which: str) -> frozenset[Record]:
        """Return what one gateway has on disk."""
        return books.journalled([self.state(which) / FILE_NAME])

    def corrections(self) -> int:
        """Return how many time corrections the gateways have queued or sent."""
        return sum(
            _count(state, "outbox WHERE journal IS NULL") for state in self._states.values()
        )

    def kept_in_window(self) -> int:
        """Return what is missing of devices that keep their records: none may be."""
        given = books.given(each.ledger_file for each in self.oximeters)
        return len(given.keys() - self.journalled())

    def _measure(
        self, devices: Sequence[VirtualDevice], count: int, step: Mapping[str, Any]
    ) -> None:
        awaited = {each: len(each.ledger("measured")) + count for each in devices}
        for device in devices:
            for _ in range(count):
                device.measure(**self._step(device), **step)
        wait_until(
            lambda: all(len(each.ledger("measured")) >= awaited[each] for each in devices),
            within_s=30,
            what=f"{count} measurements of {[each.address for each in devices]}",
        )

    def _owned(self, slots: Collection[int | None]) -> str:
        address = self.site.address()
        self._owners[address] = {slot: f"{address} {slot}" for slot in slots}
        return address

    def _patient_of(self, record: Record) -> str | None:
        device, raw = record
        slots = self._owners[device]
        value = bytes.fromhex(raw)
        slot = value[_USER_AT] if value[0] & _HAS_USER else None
        name = slots.get(None if None in slots else slot)
        return None if name is None else patient_id(name)

    def _step(self, device: VirtualDevice) -> dict[str, Any]:
        number = next(self._values)
        if device in self.oximeters:
            return {"spo2": 80 + number % 20, "pulse": 50 + number // 20 % 150}
        return {
            "systolic": 100 + number % 100,
            "diastolic": 50 + number // 100 % 40,
            "pulse": 50 + number // 4000 % 100,
        }


def _count(state: Path, what: str) -> int:
    with closing(sqlite3.connect(state / FILE_NAME)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {what}").fetchone()  # noqa: S608 ours
    return int(count)
