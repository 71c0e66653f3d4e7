"""A batch of readings through admission, beside a COPY of as many rows into the same tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import psycopg

from benchmarks import load
from benchmarks.clocks import Samples
from benchmarks.filling import copy
from benchmarks.history import History, Person, Rows
from benchmarks.questions import Connection
from ingest_service.admission.door import admit
from ingest_service.admission.incoming import Entry, Incoming, take_apart

READINGS: Final = 256  # as many messages as a worker takes at once
_BATCH_EVERY: Final = timedelta(minutes=1)


@dataclass(slots=True, kw_only=True)
class Inserting:
    """One database that batches are written to, each newer than all before.

    ``people`` must be more than `READINGS`: a batch has one reading of each of so many.
    """

    people: Sequence[Person]
    history: History
    newest: datetime
    product: Samples = field(default_factory=Samples)
    floor: Samples = field(default_factory=Samples)
    _turn: int = 0

    async def once(
        self, admitting: Connection, copying: psycopg.Connection, *, is_kept: bool
    ) -> None:
        """Admit one batch and copy another.

        Raises:
            RuntimeError: If admission does not store all of it.
        """
        self.newest += _BATCH_EVERY
        entries, rows = self._entries(), self._rows()
        with self.product.took(is_kept=is_kept):
            outcome = await admit(admitting, entries, now=self.newest)
        if outcome.counts["stored"] != READINGS:
            raise RuntimeError(f"not all of a batch were stored: {dict(outcome.counts)}")
        with self.floor.took(is_kept=is_kept):
            copy(copying, rows)

    def _entries(self) -> list[Entry]:
        """Return a message of one reading from each of the next people."""
        entries: list[Entry] = []
        for person in self._next_people():
            each = self.people[person]
            made = load.messages(
                each.gateway_id,
                [each.cuff],
                count=1,
                readings_each=1,
                when=lambda _number: self.newest,
                seed=self._turn + person,
            )
            entries += [
                entry
                for outgoing in made
                for entry in take_apart(
                    Incoming(
                        gateway_id=each.gateway_id,
                        properties=outgoing.properties,
                        payload=outgoing.payload,
                        received_at=self.newest,
                    )
                )
            ]
        return entries

    def _rows(self) -> Rows:
        rows = self.history.rows()
        for person in self._next_people():
            self.history.add(rows, person, self.newest)
        return rows

    def _next_people(self) -> list[int]:
        first, self._turn = self._turn, self._turn + READINGS
        turns = itertools.islice(itertools.count(first), READINGS)
        return [number % len(self.people) for number in turns]
