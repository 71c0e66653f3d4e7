"""What came of an alert: the codes with which persons end one.

They are what alerts are judged by afterwards (how many were right, how many led to something), so
the list is closed and a code never changes its meaning. Words for them are the pages' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Outcome:
    """One code.

    Attributes:
        code: Stored in the alert.
        is_true: Whether the alert said something true of the patient; None is unknown.
        is_for_red: Whether a red may end so.
        is_for_persons: Whether a person may choose it by itself; the others follow from something
            else that was done.
        is_contact: Whether somebody then knew how the patient is, and not only what was measured.
    """

    code: str
    is_true: bool | None
    is_for_red: bool = True
    is_for_persons: bool = True
    is_contact: bool = False


WITHDRAWN: Final = "withdrawn"
DECEASED: Final = "deceased"

_ALL: Final = (
    # Somebody did something about it.
    Outcome("emergency_care", True, is_contact=True),
    Outcome("referred_to_physician", True, is_contact=True),
    Outcome("visit_arranged", True, is_contact=True),
    Outcome("treatment_changed", True, is_contact=True),
    Outcome("advice_given", True, is_contact=True),
    Outcome("followed_up_elsewhere", True, is_contact=True),  # admitted, or another unit has it
    # It was looked at and nothing was needed.
    Outcome("contacted_no_change", True, is_contact=True),
    Outcome("expected_for_patient", True),
    Outcome("limits_changed", True),
    Outcome("normal_when_repeated", False),
    # It was not about the patient's health.
    Outcome("measuring_error", False),
    Outcome("another_person", False),
    Outcome("technical_fault", False),
    # Whoever cannot be reached may be the one who needs it most: no way to end a red.
    Outcome("not_reached", None, is_for_red=False),
    Outcome("other", None),
    # Follow from something else.
    Outcome(WITHDRAWN, False, is_for_persons=False),
    Outcome(DECEASED, None, is_for_persons=False),
    # Of what was never raised, or never red, and ended by itself.
    Outcome("not_confirmed", False, is_for_red=False, is_for_persons=False),
    Outcome("evidence_withdrawn", False, is_for_red=False, is_for_persons=False),
    Outcome("measured", True, is_for_red=False, is_for_persons=False),
)

OUTCOMES: Final = {outcome.code: outcome for outcome in _ALL}
