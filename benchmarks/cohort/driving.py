"""A simulated patient driven through the alert engine, with nurses and a closed loop."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from benchmarks.cohort import measuring, nurses, records
from benchmarks.cohort.admitting import FAMILY_OF_CODE, admitted, answered
from benchmarks.cohort.averages import Averages
from benchmarks.cohort.courses import RED, YELLOW
from benchmarks.cohort.diary import BETWEEN_DEVICES
from benchmarks.cohort.generating import Case as Simulated
from benchmarks.cohort.measuring import Produced
from benchmarks.cohort.outcomes import is_about
from benchmarks.cohort.parameters import Parameters
from benchmarks.cohort.records import Cause, Request
from ingest_service.alerts import acting, engine
from ingest_service.alerts.actions import Resolve, Take
from ingest_service.alerts.alert import Alert, Event
from ingest_service.alerts.case import Case, Chain
from ingest_service.alerts.history import History
from ingest_service.alerts.rules import silence
from ingest_service.messages.message import Kind
from ingest_service.plans.plan import Plan

#: A placeholder: nobody works at a simulated unit.
NURSE: Final = "SE2321000016-0001"

#: After so long without a sign of life a gateway counts as away
#: (`ingest_service.alerts.silence.OFFLINE_AFTER`).
_UNHEARD: Final = timedelta(minutes=3)
_RAISES: Final = frozenset({Event.RAISED, Event.RERAISED})
_REACHING: Final = frozenset({YELLOW, RED})
_NOTE: Final = "Simulated."


@dataclass(slots=True, kw_only=True)
class Driven:
    """What came of one patient: alerts, requests to measure again, and what was measured for them.

    ``requested`` is also what was measured after reminders. ``inputs`` counts readings,
    failed attempts and answers that were judged.
    """

    alerts: list[records.Alert] = field(default_factory=list[records.Alert])
    requests: list[Request] = field(default_factory=list[Request])
    requested: list[Produced] = field(default_factory=list[Produced])
    inputs: int = 0


def drive(parameters: Parameters, simulated: Simulated, plan: Plan) -> Driven:
    """Let a patient's days pass, and return what the rules made of them."""
    return _Drive(parameters, simulated, plan).run()


_Message = list[Produced | records.Answer]


class _Drive:
    """One patient's events in the order of their times: what comes, what persons do, what is due.

    Everything happens when the server would know of it: a reading at ``received_at``, what came
    in one message together. What is overdue happens at once, as the jobs would do it.
    """

    def __init__(self, parameters: Parameters, simulated: Simulated, plan: Plan) -> None:
        self._parameters = parameters
        self._simulated = simulated
        self._patient = simulated.patient
        self._families = [activity.family for activity in plan.activities]
        self._case = Case(
            patient_id=self._patient.id,
            care_unit_id=plan.care_unit_id,
            plan=plan,
            hours=parameters.nurses.hours,
            history=History(),
            judged_through=self._patient.since,
        )
        self._driven = Driven()
        self._averages = Averages.of(plan)
        self._messages: dict[datetime, _Message] = {}
        self._coming: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._count = 0

    def run(self) -> Driven:
        for one in self._simulated.produced:
            self._arrives(one)
        for answer in self._simulated.answers:
            self._joins(answer.received_at, answer)
        for outage in self._patient.outages:
            broken = Chain(is_whole=False, broken_since=outage.since, cause="gateway_offline")
            self._at(outage.since + _UNHEARD, partial(self._chain, broken))
            self._at(outage.until, partial(self._chain, Chain(broken_since=outage.since)))
        self._await_average(self._patient.since)
        now = self._patient.since
        while (at := self._next(now)) is not None and at < self._patient.until:
            now = at
            if self._coming and self._coming[0][0] == now:
                _, _, happen = heapq.heappop(self._coming)
                happen(now)
            else:
                engine.advance(self._case, now)
            self._drain(now)
        return self._driven

    def _next(self, now: datetime) -> datetime | None:
        due = engine.next_due(self._case)
        known = [at for at, _, _ in self._coming[:1]]
        if due is not None:
            known.append(max(due, now))
        return min(known, default=None)

    def _at(self, at: datetime, happen: Callable[[datetime], None]) -> None:
        self._count += 1
        heapq.heappush(self._coming, (at, self._count, happen))

    def _arrives(self, one: Produced) -> None:
        if not one.is_quarantined and one.reading.received_at < self._patient.until:
            self._joins(one.reading.received_at, one)

    def _joins(self, at: datetime, one: Produced | records.Answer) -> None:
        """Let something be in the message that the server has at that time."""
        if at not in self._messages:
            self._messages[at] = []
            self._at(at, self._take)
        self._messages[at].append(one)

    def _take(self, now: datetime) -> None:
        history = self._case.history
        inputs = [
            admitted(one.reading, history) if isinstance(one, Produced) else answered(one)
            for one in self._messages.pop(now)
        ]
        engine.take_batch(self._case, inputs, now=now)
        self._driven.inputs += len(inputs)

    def _await_average(self, now: datetime) -> None:
        if (at := self._averages.next_at(now)) is not None:
            self._at(at, self._average)

    def _average(self, now: datetime) -> None:
        """Issue the averages of the days that are over, and judge them."""
        for issued in self._averages.due(self._case.history, now):
            engine.take_average(self._case, issued, now=now)
        self._await_average(now)

    def _chain(self, chain: Chain, now: datetime) -> None:
        self._case.chains = dict.fromkeys(self._families, replace(chain, changed_at=now))

    def _drain(self, now: datetime) -> None:
        """See what came of an input: alerts for a person, requests for the patient."""
        case = self._case
        changes, messages = tuple(case.changes), tuple(case.messages)
        case.changes.clear()
        case.messages.clear()
        case.cancellations.clear()
        case.handovers.clear()
        for change in changes:
            if change.event in _RAISES:
                self._raised(change.alert, change.event, now)
        for message in messages:
            if message.kind is Kind.REMEASURE_REQUEST and message.alert_id is not None:
                self._asked(case.find(message.alert_id), now)
            elif message.kind is Kind.MEASURE_REMINDER:
                self._reminded(now)

    def _raised(self, alert: Alert, event: Event, now: datetime) -> None:
        level = alert.priority.value
        families = {
            FAMILY_OF_CODE[one.code] for one in alert.readings if one.code in FAMILY_OF_CODE
        }
        families |= {one for one in self._families if silence.of_family(one) == alert.rule}
        raised = records.Alert(
            patient_id=self._patient.id,
            rule=alert.rule,
            level=level,
            raised_at=now,
            reaches_person=level in _REACHING,
            families=tuple(sorted(families)),
            readings=tuple(one.observation_id for one in alert.readings),
            event=event.value,
        )
        self._driven.alerts.append(raised)
        done = nurses.handling(
            self._parameters.nurses,
            self._patient.draws,
            rule=alert.rule,
            level=level,
            raised_at=now,
        )
        if done is not None:
            resolve = Resolve(outcome=self._outcome(raised), note=_NOTE)
            self._at(done.taken_at, partial(self._act, alert, Take()))
            self._at(done.resolved_at, partial(self._act, alert, resolve))

    def _outcome(self, raised: records.Alert) -> str:
        """Return what a person finds who looks: the truth."""
        is_true = any(is_about(raised, truth) for truth in self._simulated.truths)
        return "treatment_changed" if is_true else "contacted_no_change"

    def _act(self, alert: Alert, action: Take | Resolve, now: datetime) -> None:
        known = self._case.find(alert.id)
        # Where it was raised again since, whoever takes that deals with all of it.
        if known is not None and known.is_open and known.raised_at == alert.raised_at:
            acting.act(self._case, alert.id, action, by=NURSE, now=now)

    def _asked(self, alert: Alert | None, now: datetime) -> None:
        """Let the patient measure again, if they do, after the time that they need."""
        if alert is None or not alert.readings:
            return
        family = FAMILY_OF_CODE[alert.readings[-1].code]
        device = self._device(family)
        at = self._simulated.home.again(device, now)
        self._driven.requests.append(
            Request(patient_id=self._patient.id, family=family, asked_at=now, measured_at=at)
        )
        if at is None:
            return
        self._sit(device, at, readings=1, why=Cause.REQUESTED)

    def _reminded(self, now: datetime) -> None:
        """Let the patient measure what the plan asks for, if a reminder makes them."""
        at = self._simulated.home.after_reminder(now)
        if at is None:
            return
        programme = self._parameters.programmes[self._patient.programme]
        for place, activity in enumerate(programme.activities):
            self._sit(
                activity.family,
                at + place * BETWEEN_DEVICES,
                readings=activity.readings,
                why=Cause.REMINDED,
            )

    def _sit(self, device: str, at: datetime, *, readings: int, why: Cause) -> None:
        for one in self._simulated.home.sit(device, at, readings=readings, why=why):
            self._driven.requested.append(one)
            self._arrives(one)

    def _device(self, family: str) -> str:
        """Return the family of the device that measures it: a pulse is counted beside another."""
        if family != measuring.PULSE:
            return family
        return next(one.value for one in self._families if one.value in measuring.COUNTS_PULSE)
