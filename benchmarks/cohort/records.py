"""The lines of the cohort's files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Artifact(StrEnum):
    """What is untrue about a reading; nothing that judges may see it."""

    MOVEMENT = "movement"
    LOOSE_CUFF = "loose_cuff"
    COLD_FINGER = "cold_finger"
    OTHER_PERSON = "other_person"
    WRONG_SLOT = "wrong_slot"


class Cause(StrEnum):
    """Why a reading was made."""

    SCHEDULED = "scheduled"
    UNWELL = "unwell"
    REQUESTED = "requested"


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One observation: what a device showed, or that it could not measure.

    Values are strings, as sent, by measure. ``received_at`` is when the server has it.
    """

    id: UUID
    patient_id: UUID
    family: str
    effective_at: datetime
    received_at: datetime
    values: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()
    is_failed: bool = False


class Made(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a reading came about: it lies beside the readings, and nothing that judges sees it."""

    reading_id: UUID
    patient_id: UUID
    why: Cause = Cause.SCHEDULED
    artifact: Artifact | None = None

    @property
    def is_remarkable(self) -> bool:
        """Tell whether it is anything but a plain scheduled reading."""
        return self.why is not Cause.SCHEDULED or self.artifact is not None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A patient's answers: ``dyspnoea`` 0 to 5, ``self_rated_health`` 1 to 5; more is worse."""

    id: UUID
    patient_id: UUID
    effective_at: datetime
    received_at: datetime
    answers: Mapping[str, str]


class Truth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One deterioration, as it was put there."""

    id: UUID
    patient_id: UUID
    programme: str
    kind: str
    severity: str
    measures: tuple[str, ...]
    onset: datetime
    crossed_at: datetime
    crossed_red_at: datetime | None = None
    silent_from: datetime | None = None
    ends_at: datetime


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One time that an alert was raised, or raised again.

    ``families`` are those of the readings it rests on; an alert without any (silence, missed
    windows, answers) is relevant to every deterioration.
    """

    patient_id: UUID
    rule: str
    level: str
    raised_at: datetime
    reaches_person: bool
    families: tuple[str, ...] = ()
    readings: tuple[UUID, ...] = ()
    event: str = "raised"


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to measure again, and when the patient did, if ever."""

    patient_id: UUID
    family: str
    asked_at: datetime
    measured_at: datetime | None = None


class Monitored(msgspec.Struct, frozen=True, kw_only=True):
    """One patient of the cohort and their days, for everything that is counted per day."""

    patient_id: UUID
    programme: str
    since: datetime
    until: datetime
    is_irregular: bool
    is_shared: bool
    answers_request: str
    adherence: str
