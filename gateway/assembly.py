"""One gateway put together: every part made once, and told of the others that it needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from device_adapters import registry
from device_adapters.contract.configuration import GatewayConfiguration
from device_adapters.contract.standing import GatewayStatus, Happening, Problem
from gateway.battery import Batteries
from gateway.ble.radio import Radio
from gateway.ble.visit import Visitor
from gateway.ble.window import PairingWindow
from gateway.clock import SystemClock, boot_id
from gateway.configuration import Configuring
from gateway.decoding import Decoder
from gateway.forwarding import Forwarder
from gateway.observability import Metrics
from gateway.pairing import PairingRequests
from gateway.publisher import MqttPublisher
from gateway.service import Decoding, Upkeep, serve
from gateway.settings import Settings
from gateway.standing import Standing
from gateway.store import clock as trust
from gateway.store import run
from gateway.store.database import Database
from gateway.store.devices import DeviceBook
from gateway.store.events import Events
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.store.room import Room
from gateway.store.salvage import Salvaged
from gateway.supervisor import Vigil, kept_alive, supervised
from gateway.telling import Parts, Telling
from gateway.timekeeping import Timekeeping
from gateway.watching import Watch, limits

_GOODBYE_S: Final = 3.0
_BATTERY_LOW_PERCENT: Final = 20  # until a configuration says otherwise


class Gateway:
    """The parts of a gateway; made in the event loop, and not at work before `run`.

    Args:
        settings: What the gateway is told.
        database: Its open file.
        salvaged: What was carried over from a damaged file, if there was one.
        now: The wall clock, for what people read.
        software: Name and version.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        salvaged: Salvaged | None,
        *,
        now: Callable[[], datetime],
        software: str,
    ) -> None:
        self._settings = settings
        self._database = database
        self._now = now
        self.metrics = Metrics()
        self._clock = SystemClock(
            settings.clock, file=settings.clock_file, trusted=trust.read(database, boot_id())
        )
        self._events = Events(database)
        self._standing = Standing(database, self._clock, self._events)
        outbox = Outbox(database, now=now)
        self._room = Room(
            database,
            outbox,
            self._standing,
            directory=settings.state,
            max_bytes=settings.max_bytes,
        )
        # From here on a full disk has its reserve.
        self._note_start(salvaged)
        journal = Journal(database, self._clock)
        journal.settle_all()
        self._publisher = MqttPublisher(settings)
        self._forwarder = Forwarder(
            outbox,
            self._publisher,
            self.metrics,
            now=now,
            monotonic_ns=time.monotonic_ns,
            max_records=settings.records_per_message,
            configure=self._configure,
        )
        adapters = registry.load()
        self._decoder = Decoder(database, journal, outbox, adapters, settings.zone)
        self._decoding = Decoding(
            self._decoder,
            self._clock,
            self._forwarder,
            self.metrics,
            Timekeeping(database, self._clock, self._decoder).keep,
        )
        self._window = PairingWindow(
            self._standing,
            monotonic_s=time.monotonic,
            asked_s=PairingRequests(settings.state).take_s,
        )
        self._book = DeviceBook(database, lambda: self._clock.read().at)
        self._battery_low_percent = _BATTERY_LOW_PERCENT
        self._radio = self._make_radio(journal, adapters)
        self._configuring = Configuring(
            database,
            self._clock,
            self._standing,
            listening=self._radio,
            window=self._window,
            apply=self._apply,
            fallback=settings.devices,
            directory=settings.state,
        )
        self._watch = Watch(
            database,
            self._clock,
            self._standing,
            certificate=settings.broker_certificate,
            broker=settings.broker_host,
            devices=lambda: self._configuring.devices or (),
            standings=self._book.standings,
            is_listening=lambda: self._radio.is_listening,
        )
        self._telling = Telling(
            database,
            self._clock,
            self._publisher,
            Parts(
                outbox=outbox,
                standing=self._standing,
                events=self._events,
                configuring=self._configuring,
                is_listening=lambda: self._radio.is_listening,
                devices=self._book.standings,
                certificate=lambda: self._watch.certificate,
                pairing_left_s=lambda: self._window.left_s,
            ),
            directory=settings.state,
            software=software,
        )
        self._upkeep = Upkeep(
            outbox,
            self._clock,
            self.metrics,
            directory=settings.state,
            tell=self._telling.tell,
            look=self._look,
            room=self._room,
        )
        self.metrics.is_broker_connected.set_function(lambda: self._publisher.is_connected)
        self.metrics.events_dropped.set_function(lambda: self._events.dropped)
        self._standing.tell(self._telling.soon)
        self._configuring.start()

    def problems(self) -> Iterable[str]:
        """Say why the gateway is not ready, a sentence each; nothing while it is."""
        if not self._radio.is_listening:
            yield "the radio does not listen"
        if not self._room.has_room:
            yield "the disk is full: devices are left alone"
        if not self._publisher.is_connected:
            yield f"the broker is not connected: {self._publisher.problem}"

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set.

        Raises:
            ExceptionGroup: If a part fails; the supervisor restarts the process.
        """
        self._publisher.start(
            on_change=self._forwarder.wake,
            on_connected=self._connected,
            on_refused=self._refused,
            on_event=self._telling.event_answered,
        )
        vigil = Vigil(
            supervised(),
            directory=self._settings.state,
            progress=self._decoding.pulse,
            problems=self.problems,
        )
        try:
            async with kept_alive(vigil, stop):
                await serve(
                    self._radio,
                    self._decoding,
                    self._forwarder,
                    self._upkeep,
                    drain_s=self._settings.drain_s,
                    stop=stop,
                )
            self._book.flush()
            run.end(self._database, self._clock)
        finally:
            self._standing.note(Happening.STOPPED)
            self._publisher.publish_status(GatewayStatus(is_online=False, at=self._now()))
            await self._publisher.stop(_GOODBYE_S)

    def _note_start(self, salvaged: Salvaged | None) -> None:
        is_unclean = run.begin(self._database, self._clock)
        if is_unclean or salvaged is not None:
            self._standing.note(Happening.STARTED_AFTER_UNCLEAN_STOP)
        else:
            self._standing.note(Happening.STARTED)
        if salvaged is None:
            self._standing.end(Problem.JOURNAL_DAMAGED)
        else:
            self._standing.note(Happening.JOURNAL_REPAIRED, detail=str(salvaged))
            self._standing.begin(Problem.JOURNAL_DAMAGED, detail=str(salvaged))

    def _make_radio(self, journal: Journal, adapters: registry.Adapters) -> Radio:
        batteries = Batteries(self._book, self._standing, lambda: self._battery_low_percent)
        visitor = Visitor(
            journal,
            adapters,
            self._clock,
            self.metrics,
            self._decoding.wake,
            may_go_on=lambda: self._room.has_room,
            on_battery=batteries.seen,
        )
        return Radio(
            visitor,
            adapters,
            self._window,
            self.metrics,
            reports=self._standing,
            book=self._book,
            devices=self._settings.devices,
            cool_down_s=self._settings.cool_down_s,
            adapter=self._settings.adapter,
            may_visit=lambda: self._room.has_room,
        )

    def _configure(self, payload: bytes) -> None:
        self._configuring.take(payload)
        self._telling.soon()

    def _apply(self, configuration: GatewayConfiguration) -> None:
        self._decoder.rest_s = configuration.rest_s
        self._watch.limits = limits(configuration)
        self._battery_low_percent = configuration.battery_low_percent

    def _look(self) -> None:
        self._watch.look()
        self._configuring.settle()
        self._publisher.renew()

    def _connected(self) -> None:
        self._watch.connected()
        self._telling.connected()
        self._forwarder.reconnected()

    def _refused(self, problem: str) -> None:
        self._watch.refused(problem)
        self._telling.soon()
