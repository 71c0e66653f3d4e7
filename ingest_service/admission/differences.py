"""What is stored of a patient's alerts beside what follows from the timeline, in sentences.

No value of a patient stands in them: whoever looks at night sees which alert, and opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Final
from uuid import UUID

from ingest_service.admission.rejudging import Rejudged
from ingest_service.alerts.alert import Alert, Evidence
from ingest_service.alerts.case import Change
from ingest_service.store.timelines import StoredEvent

_BY_CONTENT: Final = 5  # `naming` gives such ids; before plans they were drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is stored otherwise than it follows; ``text`` is a sentence."""

    patient_id: UUID
    alert_id: UUID | None
    rule: str | None
    text: str


@dataclass(frozen=True, slots=True)
class _Happened:
    event: str
    by: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.event} by {self.by} at {_said(self.at)}"


def is_from_before(alert_id: UUID) -> bool:
    """Tell whether an alert was raised by limits, before there were plans to judge by."""
    return alert_id.version != _BY_CONTENT


def between(
    patient_id: UUID,
    stored: Iterable[Alert],
    events: Iterable[StoredEvent],
    found: Rejudged,
) -> list[Difference]:
    """Return how what is stored differs from what was derived; nothing where both are alike."""
    known = {one.id: one for one in stored if not is_from_before(one.id)}
    logged: dict[UUID, list[_Happened]] = {}
    for event in events:
        logged.setdefault(event.alert_id, []).append(_Happened(event.event, event.by, event.at))
    happened = _happened(found.changes)
    differences: list[Difference] = []
    for alert_id in sorted({*known, *found.alerts}):
        one, other = known.get(alert_id), found.alerts.get(alert_id)
        texts = _texts(one, other, logged.get(alert_id, []), happened.get(alert_id, []))
        named = one or other
        differences += [
            Difference(
                patient_id=patient_id,
                alert_id=alert_id,
                rule=named.rule if named else None,
                text=text,
            )
            for text in texts
        ]
    for act, why in found.refused:
        if not is_from_before(act.alert_id):
            text = f"what {act.by} did at {_said(act.at)} cannot be done to what is derived: {why}"
            differences.append(
                Difference(patient_id=patient_id, alert_id=act.alert_id, rule=None, text=text)
            )
    return differences


def _texts(
    stored: Alert | None,
    derived: Alert | None,
    logged: Sequence[_Happened],
    happened: Sequence[_Happened],
) -> Iterator[str]:
    if stored is None and derived is not None:
        yield f"it follows from the timeline ({_shown(derived)}), and is not stored."
    elif derived is None and stored is not None:
        yield f"it is stored ({_shown(stored)}), and does not follow from the timeline."
    elif stored is not None and derived is not None:
        yield from _fields(stored, derived)
        yield from _readings(stored.readings, derived.readings)
        yield from _events(logged, happened)


def _fields(stored: Alert, derived: Alert) -> Iterator[str]:
    for name, shown in _SHOWN.items():
        one, other = getattr(stored, name), getattr(derived, name)
        if one != other:
            yield f"its {name} is stored as {shown(one)}, and follows as {shown(other)}."
    for name in _HIDDEN:
        if getattr(stored, name) != getattr(derived, name):
            yield f"its {name} are stored otherwise than they follow."


def _readings(stored: Sequence[Evidence], derived: Sequence[Evidence]) -> Iterator[str]:
    known = {one.observation_id: one for one in stored}
    given = {one.observation_id: one for one in derived}
    for each in known.keys() - given.keys():
        yield f"it rests on reading {each} as stored, which does not follow."
    for each in given.keys() - known.keys():
        yield f"it should rest on reading {each}, which is not stored with it."
    for each in known.keys() & given.keys():
        one, other = known[each], given[each]
        names = [name for name in Evidence.__struct_fields__ if _differ(one, other, name)]
        if names:
            yield f"its reading {each} is stored with another {', '.join(names)}."
    is_same = known == given
    if is_same and [*known] != [*given]:
        yield "its readings are stored in another order than they follow."


def _differ(one: Evidence, other: Evidence, name: str) -> bool:
    return getattr(one, name) != getattr(other, name)


def _events(logged: Sequence[_Happened], happened: Sequence[_Happened]) -> Iterator[str]:
    """Yield where the log first says something else; what follows that is of no use."""
    for place, (one, other) in enumerate(zip_longest(logged, happened), start=1):
        if one != other:
            yield f"event {place} is stored as {one or 'none'}, and follows as {other or 'none'}."
            return


def _happened(changes: Iterable[Change]) -> Mapping[UUID, list[_Happened]]:
    found: dict[UUID, list[_Happened]] = {}
    for one in changes:
        found.setdefault(one.alert.id, []).append(_Happened(one.event, one.by, one.at))
    return found


def _shown(alert: Alert) -> str:
    raised = f"raised {_said(alert.raised_at)}" if alert.raised_at else "never raised"
    return f"{alert.priority}, {alert.state}, {raised}"


def _said(value: object) -> str:
    match value:
        case None:
            return "none"
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case _:
            return str(value)


_SHOWN: Final[Mapping[str, Callable[[object], str]]] = dict.fromkeys(
    (
        "rule",
        "rule_version",
        "priority",
        "state",
        "outcome",
        "owner",
        "raised_at",
        "resolved_at",
        "confirm_by",
        "due_at",
        "paused_until",
        "escalations",
        "plan_id",
        "plan_version",
        "state_by",
        "state_at",
        "version",
    ),
    _said,
)
# They hold limits or values.
_HIDDEN: Final = ("limits", "facts")
