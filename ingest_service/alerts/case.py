"""One patient as the rules see them, while inputs are applied one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.alerts.alert import Alert, Event, Undoable
from ingest_service.alerts.backup import Agreement, Handover
from ingest_service.alerts.history import History
from ingest_service.messages.message import Cancellation, Message
from ingest_service.plans.hours import Hours
from ingest_service.plans.limits import Family
from ingest_service.plans.plan import Plan

#: Who stands in the log for what the rules and the clock do.
BY_RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Whether this patient's readings of one family would reach us: only then one is missed.

    ``is_outage`` means that one incident stands for many patients; ``changed_at`` is since when it
    is as it is. Of a chain that is whole again ``broken_since`` is when the last break began.
    """

    is_whole: bool = True
    broken_since: datetime | None = None
    cause: str | None = None
    is_outage: bool = False
    changed_at: datetime | None = None


_WHOLE: Final = Chain()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of an alert by one input: how it stands after it, and what is to be logged.

    ``detail`` says why: the reading, the one before, a person's reason, a note.
    """

    alert: Alert
    event: Event
    by: str
    at: datetime
    detail: Mapping[str, msgspec.Raw | str] = field(default_factory=dict[str, msgspec.Raw | str])


@dataclass(slots=True, kw_only=True)
class Case:
    """A patient: plan, hours, history, unresolved alerts and the last resolved of each rule.

    ``alerts`` and ``ended`` are by rule. ``judged_through`` is the instant up to which time has
    been judged: deadlines before it are done with. ``known`` are alerts that are stored; of an
    unreadable case some could not be read. ``changes`` and ``messages`` grow by each input, in
    order, as do ``cancellations`` (messages that are not to be sent any more) and ``handovers``
    (to whom an alert was opened); whoever drives the case writes them and clears them.
    ``agreements`` are the unit's with its backup units.
    """

    patient_id: UUID
    care_unit_id: UUID
    plan: Plan | None
    hours: Hours
    history: History
    judged_through: datetime
    alerts: dict[str, Alert] = field(default_factory=dict[str, Alert])
    ended: dict[str, Alert] = field(default_factory=dict[str, Alert])
    chains: dict[Family, Chain] = field(default_factory=dict[Family, Chain])
    known: set[UUID] = field(default_factory=set[UUID])
    is_unreadable: bool = False
    changes: list[Change] = field(default_factory=list[Change])
    messages: list[Message] = field(default_factory=list[Message])
    cancellations: list[Cancellation] = field(default_factory=list[Cancellation])
    handovers: list[Handover] = field(default_factory=list[Handover])
    agreements: tuple[Agreement, ...] = ()
    is_deceased: bool = False

    def chain_of(self, family: Family) -> Chain:
        """Return whether readings of that family would reach us; nothing known is whole."""
        return self.chains.get(family, _WHOLE)

    def change(
        self,
        alert: Alert,
        event: Event,
        *,
        at: datetime,
        by: str = BY_RULES,
        detail: Mapping[str, msgspec.Raw | str] | None = None,
        undo: Undoable | None = None,
    ) -> None:
        """Let an alert become this, and note why; only a person's action gives an ``undo``."""
        known = self.find(alert.id)
        is_earlier = known is None and alert.state_at is not None
        if is_earlier:
            known = alert  # one that ended before the last of its rule
        version = 1 if known is None else known.version + 1
        has_moved = known is None or (known.state, known.owner) != (alert.state, alert.owner)
        if has_moved and event is not Event.UNDONE:
            alert = replace(alert, state_by=by, state_at=at, undo=undo, version=version)
        else:
            alert = replace(alert, undo=undo, version=version)
        self._keep(alert, is_earlier=is_earlier)
        self.changes.append(Change(alert=alert, event=event, by=by, at=at, detail=detail or {}))

    def _keep(self, alert: Alert, *, is_earlier: bool) -> None:
        """Keep the alert where it belongs: one open of its rule, and the last that ended."""
        here, there = self.alerts, self.ended
        if not alert.is_open:
            here, there = there, here
        if (moved := there.get(alert.rule)) is not None and moved.id == alert.id:
            del there[alert.rule]
        if not (is_earlier and alert.rule in here):
            here[alert.rule] = alert

    def unsay(self, cancellation: Cancellation) -> None:
        """Let messages go unsaid: those written before, and those that this case has still to say.

        Whoever writes the case cancels first, so that what is said after this is said.
        """
        self.messages = [one for one in self.messages if not _is_meant(cancellation, one)]
        self.cancellations.append(cancellation)

    def plan_at(self, now: datetime) -> Plan | None:
        """Return the plan by which readings are judged, if one is in force (A19)."""
        plan = self.plan
        return plan if plan is not None and plan.is_in_force(now) else None

    def find(self, alert_id: UUID) -> Alert | None:
        """Return the alert with that id, resolved lately or not."""
        for alert in (*self.alerts.values(), *self.ended.values()):
            if alert.id == alert_id:
                return alert
        return None

    def copy(self) -> Case:
        """Return the case as it stands, to go back to if an input cannot be judged."""
        return replace(
            self,
            alerts=dict(self.alerts),
            ended=dict(self.ended),
            changes=list(self.changes),
            messages=list(self.messages),
            cancellations=list(self.cancellations),
            handovers=list(self.handovers),
        )

    def restore(self, before: Case) -> None:
        """Go back to what `copy` returned; what was measured stays known."""
        self.alerts, self.ended = before.alerts, before.ended
        self.changes, self.messages = before.changes, before.messages
        self.cancellations, self.handovers = before.cancellations, before.handovers
        self.judged_through = before.judged_through


def _is_meant(cancellation: Cancellation, message: Message) -> bool:
    is_about = cancellation.alert_id in {None, message.alert_id}
    is_kind = not cancellation.kinds or message.kind in cancellation.kinds
    return is_about and is_kind and message.patient_id == cancellation.patient_id
