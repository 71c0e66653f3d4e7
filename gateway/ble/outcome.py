"""How a visit ended."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.ble.ladder import Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Digests of the records that a device gave, and what went wrong.

    ``problem`` is for the log; ``trouble`` is what decides the next step, and what is told.
    ``is_met``: the connection came about, with the device's services. ``is_our_fault``: the
    gateway could not keep what the device had to say.
    """

    given: frozenset[bytes]
    problem: str | None = None
    trouble: Trouble | None = None
    is_met: bool = True
    is_our_fault: bool = False
