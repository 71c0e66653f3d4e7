"""What a reading settles by being there: that windows were missed, silence, being unseen.

Such alerts say that nothing came. When something comes they are no longer so, and end by
themselves, unless they are red or somebody has taken them: then a person decides. Who was told
that nothing reaches us is told that it does again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ingest_service.alerts import latch, life
from ingest_service.alerts.alert import Event, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import Reading
from ingest_service.alerts.rules import attempts, missed, silence, unmonitored
from ingest_service.messages import kinds
from ingest_service.messages.kinds import Subject
from ingest_service.plans.limits import Level

MEASURED: Final = "measured"
_RULES: Final = (missed.RULE, silence.RULE, unmonitored.RULE)  # and silence of a family


def settle(case: Case, reading: Reading, *, now: datetime) -> None:
    """End what said that nothing came of this reading's family, and the waiting for it."""
    _succeed(case, reading, now)
    for rule in (*_RULES, silence.of_family(reading.family)):
        alert = case.alerts.get(rule)
        if alert is None or alert.priority is Level.RED or alert.owner is not None:
            continue
        since, family = alert.facts.since, alert.facts.unit
        is_of_another = family is not None and family != reading.family
        if is_of_another or (since is not None and reading.effective_at < since):
            continue
        ended = life.ended(alert, MEASURED, now)
        case.change(ended, Event.ENDED, at=now, detail={"by": str(reading.observation_id)})
        if rule == unmonitored.RULE and since is not None:
            subject = Subject(patient_id=case.patient_id, care_unit_id=case.care_unit_id)
            language = case.plan.language if case.plan else None
            case.messages.append(kinds.chain_whole(subject, since, language=language))


def _succeed(case: Case, reading: Reading, now: datetime) -> None:
    """End failed attempts of which nobody has been told: this reading is what they were after."""
    alert = case.alerts.get(attempts.RULE)
    if alert is None or alert.state is not State.AWAITING:
        return
    if all(
        attempts.settles(one.code, reading) and one.effective_at < reading.effective_at
        for one in alert.standing
    ):
        latch.not_needed(case, alert)
        ended = life.ended(alert, MEASURED, now)
        case.change(ended, Event.ENDED, at=now, detail={"by": str(reading.observation_id)})
