"""An average as the mapping to FHIR takes it, and a digest that tells whether it changed."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from fhir_mappings.averages import AverageDetails
from ingest_service.protocols.averaging import Average, Lack
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.selection import Reason
from ingest_service.protocols.sittings import bounds

_SECOND: Final = timedelta(seconds=1)


def details(
    average: Average, protocol: Protocol, *, patient_id: UUID, zone: tzinfo
) -> AverageDetails:
    """Return what the average's Observation tells.

    Args:
        average: Made by ``protocol``.
        protocol: Gives the title.
        patient_id: Whose it is.
        zone: The home's, the same that it was made with.
    """
    begins, over = bounds(protocol, average.period, zone=zone)
    lacking = {missing.what: missing.needed - missing.found for missing in average.missing}
    return AverageDetails(
        patient_id=patient_id,
        protocol_id=average.protocol_id,
        protocol_version=average.protocol_version,
        protocol_title=protocol.title,
        kind=average.period.kind.value,
        days=(average.period.first_day, average.period.last_day),
        begins=begins.astimezone(zone),
        ends=(over - _SECOND).astimezone(zone),
        systolic=average.systolic,
        diastolic=average.diastolic,
        pulse=average.pulse,
        pulses=average.pulses,
        used=tuple(one.id for one in average.used),
        left_out=tuple(
            (one.reading.id, one.reason.value)
            for one in average.left_out
            if one.reason is not Reason.OUTSIDE_PERIOD
        ),
        marks=average.marks,
        sittings=average.sittings,
        days_used=average.days,
        days_measured=average.days_measured,
        missing_readings=lacking.get(Lack.READINGS, 0),
        missing_days=lacking.get(Lack.DAYS, 0),
    )


def digest(average: Average) -> str:
    """Return a digest that changes with anything the average rests on, for whoever stores it.

    Also where the mean stays the same: a reading that was corrected was another one. What lies
    outside the period has no part in it.
    """
    within = [one for one in average.left_out if one.reason is not Reason.OUTSIDE_PERIOD]
    rested_on = (average.protocol_id, average.protocol_version, average.period)
    content = msgspec.json.encode((rested_on, average.used, within))
    return sha256(content).hexdigest()
