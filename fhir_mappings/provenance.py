"""Where Observations come from, and who changed them why: Provenance as finished JSON text."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from fhir_mappings.codes import DATA_OPERATION, PARTICIPANT
from fhir_mappings.elements import (
    Agent,
    CodeableConcept,
    Coding,
    Entity,
    Identifier,
    Logical,
    Meta,
    Provenance,
    Reference,
    text,
)
from fhir_mappings.identifiers import (
    CHANGE,
    HSA_ID,
    MESSAGE,
    WORKER,
    gateway_resource_id,
    provenance_id,
)

_AUTHOR: Final = CodeableConcept((Coding(PARTICIPANT, "author", "Author"),))
_ASSEMBLER: Final = CodeableConcept((Coding(PARTICIPANT, "assembler", "Assembler"),))
_CREATE: Final = CodeableConcept((Coding(DATA_OPERATION, "CREATE", "create"),))
_ACTIVITIES: Final = {
    "correction": CodeableConcept((Coding(DATA_OPERATION, "UPDATE", "revise"),)),
    "invalidation": CodeableConcept((Coding(DATA_OPERATION, "NULLIFY", "nullify"),)),
    "attribution": _CREATE,
}

Activity = Literal["correction", "invalidation", "attribution"]


@dataclass(frozen=True, slots=True)
class Versioned:
    """One version of an Observation."""

    observation_id: UUID
    version: int = 1


@dataclass(frozen=True, slots=True)
class Staff:
    """A member of staff, by HSA-id: a name is not needed to answer for a change."""

    hsa_id: str


@dataclass(frozen=True, slots=True)
class Worker:
    """Somebody of the operator or care provider without an HSA-id, as they are known there."""

    name: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway, for what it corrects by itself: a better time."""

    gateway_id: str


def message_digest(payload: bytes) -> str:
    """Return what names a message's bytes, here and where they are kept."""
    return hashlib.sha256(payload).hexdigest()


def of_message(
    targets: Sequence[Versioned],
    *,
    patient_id: UUID,
    gateway_id: str,
    digest: str,
    received_at: datetime,
    recorded: datetime,
) -> str:
    """Return the Provenance of what one message brought of one patient.

    One of a message with readings of two people names one of them alone: otherwise each record
    would point to the other. The same message gives the same id however often it is sent.

    Args:
        targets: All Observations made of it, at least one.
        patient_id: Whose they are, and who measured.
        gateway_id: The gateway that put the message together.
        digest: As `message_digest` gives it.
        received_at: When the message came, with a zone.
        recorded: When the Observations were stored, with a zone.

    Source:
        FHIR R4, Provenance; provenance-participant-type; v3-DataOperation.
    """
    patient = f"Patient/{patient_id}"
    return text(
        Provenance(
            id=provenance_id("message", digest, gateway_id, patient_id),
            meta=_first_version(recorded),
            target=tuple(_reference(each) for each in targets),
            occurred_date_time=received_at.isoformat(),
            recorded=recorded.isoformat(),
            activity=_CREATE,
            agent=(
                Agent(_AUTHOR, Reference(patient)),
                Agent(_ASSEMBLER, _gateway(gateway_id)),
            ),
            entity=(Entity("source", Logical(Identifier(system=MESSAGE, value=digest))),),
        )
    )


def of_change(
    targets: Sequence[Versioned],
    kind: Activity,
    *,
    revised: Collection[UUID] | None = None,
    change_id: UUID,
    who: Staff | Worker | Gateway,
    why: str,
    recorded: datetime,
) -> str:
    """Return the Provenance of what somebody decided about one patient's Observations.

    Args:
        targets: The versions that the change made, of one patient.
        kind: Whether they hold something better, are taken back, or are this patient's by a
            person's decision. The last names no earlier version: that was somebody else's.
        revised: Those Observations that had a version before; all where it is not given.
        change_id: What was done, fixed where it was decided: the same change told twice is one.
        who: Who decided it.
        why: In words, without personal data.
        recorded: When it was stored, with a zone.

    Source:
        FHIR R4, Provenance (entity role ``revision``); v3-DataOperation.
    """
    before = [
        Versioned(each.observation_id, each.version - 1)
        for each in targets
        if kind != "attribution" and (revised is None or each.observation_id in revised)
    ]
    return text(
        Provenance(
            id=provenance_id("change", change_id, kind),
            meta=_first_version(recorded),
            target=tuple(_reference(each) for each in targets),
            recorded=recorded.isoformat(),
            reason=(CodeableConcept(text=why),),
            activity=_ACTIVITIES[kind],
            agent=(_decider(who),),
            entity=(
                *(Entity("revision", _reference(each)) for each in before),
                Entity("source", Logical(Identifier(system=CHANGE, value=str(change_id)))),
            ),
        )
    )


def _decider(who: Staff | Worker | Gateway) -> Agent:
    match who:
        case Gateway(gateway_id):
            return Agent(_ASSEMBLER, _gateway(gateway_id))
        case Staff(hsa_id):
            return Agent(_AUTHOR, Logical(Identifier(system=HSA_ID, value=hsa_id)))
        case Worker(name):
            return Agent(_AUTHOR, Logical(Identifier(system=WORKER, value=name)))


def _gateway(gateway_id: str) -> Reference:
    return Reference(f"Device/{gateway_resource_id(gateway_id)}")


def _reference(observation: Versioned) -> Reference:
    return Reference(f"Observation/{observation.observation_id}/_history/{observation.version}")


def _first_version(recorded: datetime) -> Meta:
    return Meta(version_id="1", last_updated=recorded.isoformat())
