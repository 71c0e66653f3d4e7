"""Keeps what is believed of the clock, and doubts what was received under a wrong one."""

from __future__ import annotations

import logging
import sqlite3
from typing import Protocol
from uuid import UUID

from gateway.clock import Moment
from gateway.decoding import Decoder
from gateway.store import clock as store
from gateway.store.database import Database
from gateway.trust import Trust

logger = logging.getLogger(__name__)


class TrustedClock(Protocol):
    """A clock that says what is believed of it."""

    @property
    def boot_id(self) -> UUID:
        """Return the boot within which it holds."""
        ...

    @property
    def trust(self) -> Trust | None:
        """Return what is believed; it changes with each reading."""
        ...

    def read(self) -> Moment:
        """Return this moment."""
        ...


class Timekeeping:
    """Looks at the clock every few seconds, so that no jump passes unseen.

    Args:
        database: Keeps what is believed.
        clock: The machine's.
        decoder: Has times corrected.
    """

    def __init__(self, database: Database, clock: TrustedClock, decoder: Decoder) -> None:
        self._database = database
        self._clock = clock
        self._decoder = decoder
        self._kept: tuple[object, ...] | None = None

    def keep(self) -> None:
        """Look at the clock once and note what has changed; never raises."""
        self._clock.read()
        trust = self._clock.trust
        if trust is None:
            return
        try:
            if trust.doubted_us is not None:
                doubted = self._decoder.doubt(self._clock.boot_id, trust.doubted_us * 1000)
                trust.doubted_us = None
                logger.warning("the clock was wrong", extra={"entries": doubted})
            state = trust.mark_us, trust.confirmed_us, trust.is_trusted, trust.is_held
            if state != self._kept:
                store.put(self._database, self._clock.boot_id, trust)
                self._kept = state
        except sqlite3.Error as error:
            logger.warning("clock's state could not be kept", extra={"reason": str(error)})
