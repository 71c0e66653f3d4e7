"""Rule ``could_not_judge``, version 1: an error while judging, so that a person must look.

The reading is stored; that nobody judged it is as urgent as what it may say.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from ingest_service.alerts.alert import Evidence
from ingest_service.alerts.finding import Finding
from ingest_service.plans.limits import Level

RULE: Final = "could_not_judge"
VERSION: Final = 1


def found(evidence: Evidence) -> Finding:
    """Return the red finding that something was not judged; each one raises again."""
    return Finding(
        rule=RULE,
        version=VERSION,
        level=Level.RED,
        evidence=(structs.replace(evidence, level=Level.RED),),
        again_after=1,
    )


def of_time() -> Finding:
    """Return the red finding that what time brings was not judged; it rests on no reading."""
    return Finding(rule=RULE, version=VERSION, level=Level.RED, evidence=())
