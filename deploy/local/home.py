"""One home: a bus, a radio and `org.bluez` on it, devices that measure, and the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from deploy.local.programs import Program

# Of the homes' wall clocks: the devices show no zone, and the gateway must know it.
TIMEZONE: Final = "Europe/Stockholm"
_BUS_CONFIGURATION: Final = Path(__file__).with_name("bus.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualDevice:
    """A device in a home; ``schedule`` is what it measures, as ``hemvital-virtual`` takes it."""

    kind: Literal["cuff", "oximeter"]
    name: str
    address: str
    schedule: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What stands in one home."""

    gateway_id: str
    devices: Sequence[VirtualDevice]


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeFiles:
    """Where a home keeps its things; sockets lie apart, since their paths must be short."""

    state: Path
    sockets: Path

    @property
    def bus(self) -> Path:
        """Socket of the home's private system bus."""
        return self.sockets / "bus"

    @property
    def air(self) -> Path:
        """Socket of the home's radio."""
        return self.sockets / "air"

    @property
    def ledger(self) -> Path:
        """What the home's devices say that they gave, one JSON line a record."""
        return self.state / "ledger.jsonl"

    def memory(self, program: str) -> Path:
        """What a device holds that nobody has fetched, and what it keeps for good."""
        return self.state / f"{program}.memory"

    @property
    def gateway(self) -> Path:
        """The gateway's own files."""
        return self.state / "gateway"


def infrastructure(
    home: Home, files: HomeFiles, gateway_settings: Mapping[str, str], monitoring: str
) -> Sequence[Program]:
    """Return what runs in a home beside its devices, in the order to start it."""
    name, air = home.gateway_id, f"unix:{files.air}"
    bus = f"unix:path={files.bus}"
    daemon = ["/usr/bin/dbus-daemon", "--nofork", "--nopidfile", "--address", bus]
    daemon += ["--config-file", str(_BUS_CONFIGURATION)]
    return [
        Program(name=f"{name}-bus", command=daemon, ready_path=files.bus),
        Program(
            name=f"{name}-radio",
            command=["hemvital-virtual", "radio", "--air", air],
            ready_path=files.air,
        ),
        Program(
            name=f"{name}-bluez",
            command=["hemvital-virtual", "bluez", "--air", air, "--bus", bus],
            ready_text="ready",
        ),
        Program(
            name=name,
            command=["hemvital-gateway", "run"],
            environment={**gateway_settings, "DBUS_SYSTEM_BUS_ADDRESS": bus},
            ready_url=f"{monitoring}/readyz",
        ),
    ]


def devices(home: Home, files: HomeFiles, *, is_measuring: bool) -> Sequence[Program]:
    """Return the programs that are a home's devices.

    Without ``is_measuring`` they give what they still hold and measure nothing more.
    """
    return [_device(each, home, files, is_measuring=is_measuring) for each in home.devices]


def program_name(home: Home, device: VirtualDevice) -> str:
    """Return what the program that is a device is called."""
    return f"{home.gateway_id}-{device.name}"


def _device(device: VirtualDevice, home: Home, files: HomeFiles, *, is_measuring: bool) -> Program:
    name = program_name(home, device)
    command = ["hemvital-virtual", device.kind, "--air", f"unix:{files.air}"]
    command += ["--name", device.name, "--address", device.address, "--timezone", TIMEZONE]
    command += ["--ledger", str(files.ledger), "--memory", str(files.memory(name))]
    schedule = device.schedule if is_measuring else ()
    return Program(name=name, command=[*command, *schedule], ready_text="ready")
