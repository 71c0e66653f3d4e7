"""What a member of staff may do, by the roles that the identity provider vouches for.

A role comes from HSA as a system role (``HEMVITAL;nurse``), a commission gives the unit. Nobody
has a right because of a title: a clinician without a role here sees nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

_SYSTEM: Final = "hemvital"


class Role(StrEnum):
    """A role; its value is what stands after ``HEMVITAL;`` and in a session."""

    NURSE = "nurse"
    PHYSICIAN = "physician"
    UNIT_LEAD = "unit_lead"
    TECHNICIAN = "technician"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class Right(StrEnum):
    """What a page or an action needs."""

    READ = "read"  # patients of one's unit
    ACT = "act"  # on alerts, readings and what waits in quarantine
    PRESCRIBE = "prescribe"  # approve plans
    LEAD = "lead"  # give one person's work to another; measures of the unit
    TECHNICAL = "technical"  # gateways and devices of the unit, no patients
    OPERATE = "operate"  # the installation, no patients
    AUDIT = "audit"  # who saw what at the unit


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.NURSE: frozenset({Right.READ, Right.ACT}),
    Role.PHYSICIAN: frozenset({Right.READ, Right.ACT, Right.PRESCRIBE}),
    Role.UNIT_LEAD: frozenset({Right.READ, Right.ACT, Right.LEAD}),
    Role.TECHNICIAN: frozenset({Right.TECHNICAL}),
    Role.OPERATOR: frozenset({Right.TECHNICAL, Right.OPERATE}),
    Role.AUDITOR: frozenset({Right.AUDIT}),
}


def roles_of(system_roles: Iterable[str]) -> tuple[Role, ...]:
    """Return the roles that are meant for this system; others pass unread.

    >>> roles_of(["HEMVITAL;nurse", "OTHER;nurse", "hemvital;unit_lead"])
    (<Role.NURSE: 'nurse'>, <Role.UNIT_LEAD: 'unit_lead'>)
    """
    named = [one.partition(";") for one in system_roles]
    ours = (role for system, _, role in named if system.strip().lower() == _SYSTEM)
    meant = {role.strip().lower() for role in ours}
    return tuple(role for role in Role if role.value in meant)


def rights_of(roles: Iterable[str]) -> frozenset[Right]:
    """Return what somebody with these roles may do; an unknown role gives nothing."""
    known = [role for role in Role if role.value in set(roles)]
    return frozenset(right for role in known for right in RIGHTS[role])
