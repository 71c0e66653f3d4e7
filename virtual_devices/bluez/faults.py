"""What goes wrong in bluetoothd or its adapter because a script says so, one JSON line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

Where = Literal["connect", "scan"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong.

    ``in_progress``: the next ``times`` calls of Connect, or of StartDiscovery, are refused so;
    with ``until_power`` all are, until the adapter was switched off and on. ``stuck``: the next
    ``times`` calls of Connect get no answer until the attempt is cancelled; meanwhile others are
    InProgress. ``deaf``: nothing is heard until the adapter was switched off and on.
    ``unresolved``: on the next ``times`` connections services are never resolved. ``held``: a
    device is connected to for a client that is gone, and stays so.
    """

    fault: Literal["in_progress", "stuck", "deaf", "unresolved", "held"]
    of: Where = "connect"
    times: int = 1
    until_power: bool = False
    address: str = ""
    after_s: float = 0.0


@dataclass(slots=True)
class Faults:
    """What is still to go wrong; ``hold`` connects to a device for nobody."""

    hold: Callable[[str], None] = lambda _address: None
    is_deaf: bool = False
    _left: dict[str, int] = field(default_factory=dict[str, int])
    _until_power: set[str] = field(default_factory=set[str])

    def suffer(self, fault: Fault) -> None:
        """Let something go wrong from now on."""
        match fault.fault:
            case "in_progress" if fault.until_power:
                self._until_power.add(fault.of)
            case "in_progress":
                self._add(fault.of, fault.times)
            case "deaf":
                self.is_deaf = True
            case "held":
                self.hold(fault.address.upper())
            case _:
                self._add(fault.fault, fault.times)

    def is_in_progress(self, where: Where) -> bool:
        """Tell whether a call is refused as in progress."""
        return where in self._until_power or self._take(where)

    def is_stuck(self) -> bool:
        """Tell whether a connect gets no answer."""
        return self._take("stuck")

    def is_unresolved(self) -> bool:
        """Tell whether a connection's services are never resolved."""
        return self._take("unresolved")

    def power_off(self) -> None:
        """Forget what a controller forgets without power."""
        self.is_deaf = False
        self._until_power.clear()

    def _add(self, name: str, times: int) -> None:
        self._left[name] = self._left.get(name, 0) + times

    def _take(self, name: str) -> bool:
        left = self._left.get(name, 0)
        self._left[name] = max(left - 1, 0)
        return left > 0
