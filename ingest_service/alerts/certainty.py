"""How far what a device says about its own reading is to be trusted (A1, A2).

Nothing here takes a level from a reading. A doubtful one is asked for again, and can neither
disprove another nor count in an average; an uncertain one is marked. An irregular pulse is
neither: with atrial fibrillation it comes with every reading.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ingest_service.alerts.finding import TIME_UNKNOWN

#: Movement, cuff fit, posture and signal: measure again. ``doubtful`` stands for any of them.
DOUBTFUL: Final = frozenset(
    {
        "doubtful",
        # CuffStatus
        "body_movement",
        "cuff_too_loose",
        "improper_position",
        # OximeterStatus
        "early_estimate",
        "questionable",
        # SensorStatus
        "equipment_malfunction",
        "signal_processing_irregularity",
        "inadequate_signal",
        "poor_signal",
        "erratic_signal",
        "non_pulsatile",
        "questionable_pulse",
        "interference",
        "unconnected_to_user",
        "unknown_sensor",
        "displaced",
        "sensor_malfunction",
        "disconnected",
    }
)

#: Low perfusion may be shock, and another person's value may be the patient's after all: such a
#: value is as urgent as any other, and said with a doubt.
UNCERTAIN: Final = frozenset({"low_perfusion", "may_be_another"})

#: What may be one and the same measurement, come twice, is no second value.
DOUBLE: Final = "suspected_double"


def is_doubtful(flags: Collection[str]) -> bool:
    """Tell whether the reading is to be repeated."""
    return not DOUBTFUL.isdisjoint(flags)


def is_uncertain(flags: Collection[str]) -> bool:
    """Tell whether a doubt is to be said with the value."""
    return not (DOUBTFUL.isdisjoint(flags) and UNCERTAIN.isdisjoint(flags))


def is_trusted(flags: Collection[str]) -> bool:
    """Tell whether the reading can show that another one was not so.

    It must be this patient's, well measured, and known to be later.
    """
    return not (is_uncertain(flags) or TIME_UNKNOWN in flags or DOUBLE in flags)
