"""What a device's status bits mean for an Observation: whether its value stands, and how firmly.

Nothing here mutes a reading: an irregular pulse is a finding and no flaw, low perfusion lowers
certainty and never priority. Only the statuses for which the contract calls an attempt failed
take the value away.

Source:
    HL7 Personal Health Device implementation guide 2.0.0, Measurement-Status, with two
    deviations. An ongoing measurement that was nevertheless indicated keeps its value, as a
    preliminary one: it is a measurement in the contract and is judged as one. An invalid one is
    ``final`` without a value, never ``entered-in-error``: it stays an attempt that is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from functools import lru_cache
from typing import Final

import msgspec

from device_adapters.contract.readings import CuffStatus, OximeterStatus, SensorStatus
from fhir_mappings import codes
from fhir_mappings.elements import Annotation

_DOUBTFUL_CUFF: Final = (
    CuffStatus.BODY_MOVEMENT | CuffStatus.CUFF_TOO_LOOSE | CuffStatus.IMPROPER_POSITION
)
_PULSE_OUT_OF_RANGE: Final = CuffStatus.PULSE_OVER_RANGE | CuffStatus.PULSE_UNDER_RANGE
# Every other bit of the sensor says that something is wrong with the signal or the sensor.
_SOUND_SENSOR: Final = SensorStatus.EXTENDED_DISPLAY_UPDATE | SensorStatus.ANALYSIS_ONGOING
_NO_PATIENT: Final = OximeterStatus.DEMONSTRATION | OximeterStatus.TESTING
_EARLY: Final = OximeterStatus.ONGOING | OximeterStatus.EARLY_ESTIMATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How far a value can be relied on.

    ``absent`` is the reason why there is none, ``interpretation`` the codes of measurement
    status, ``notes`` the same and more in words; ``is_doubtful`` is the device's own doubt.
    """

    absent: msgspec.Raw | None = None
    interpretation: tuple[msgspec.Raw, ...] = ()
    notes: tuple[Annotation, ...] = ()
    is_preliminary: bool = False
    is_test: bool = False
    is_irregular: bool = False
    is_doubtful: bool = False


#: Of a device that says nothing of the kind.
PLAIN: Final = Quality()
_NO_CONTACT: Final = Quality(
    absent=codes.ABSENT_NOT_PERFORMED,
    notes=(Annotation("Reported by the heart rate sensor: no contact with the skin."),),
)


def of_heart_rate_sensor(has_contact: bool | None) -> Quality:
    """Return what a heart rate sensor's contact means; ``None`` where it cannot tell."""
    return _NO_CONTACT if has_contact is False else PLAIN


@lru_cache(maxsize=1024)
def of_cuff(status: int | None) -> Quality:
    """Return what a cuff's measurement status means."""
    found = CuffStatus(status or 0)
    named = found
    is_doubtful = bool(found & _DOUBTFUL_CUFF)
    if found & _PULSE_OUT_OF_RANGE == _PULSE_OUT_OF_RANGE:
        named &= ~_PULSE_OUT_OF_RANGE  # both bits together are a reserved value
    return Quality(
        interpretation=(codes.QUESTIONABLE,) if is_doubtful else (),
        notes=_notes("Reported by the blood pressure monitor", CuffStatus, named),
        is_irregular=bool(found & CuffStatus.IRREGULAR_PULSE),
        is_doubtful=is_doubtful,
    )


@lru_cache(maxsize=1024)
def of_oximeter(status: int | None, sensor_status: int | None) -> Quality:
    """Return what an oximeter's measurement status and sensor status mean."""
    found, sensor = OximeterStatus(status or 0), SensorStatus(sensor_status or 0)
    is_doubtful = bool(found & OximeterStatus.QUESTIONABLE or sensor & ~_SOUND_SENSOR)
    interpretation = (
        (codes.QUESTIONABLE, is_doubtful),
        (codes.EARLY_INDICATION, found & _EARLY),
        (codes.CALIBRATION_ONGOING, found & OximeterStatus.CALIBRATING),
        (codes.VALIDATED, found & OximeterStatus.VALIDATED),
    )
    return Quality(
        absent=_absent(found),
        interpretation=tuple(code for code, is_set in interpretation if is_set),
        notes=(
            *_notes("Reported by the pulse oximeter", OximeterStatus, found),
            *_notes("Reported by the sensor", SensorStatus, sensor),
        ),
        is_preliminary=bool(found & _EARLY),
        is_test=bool(found & _NO_PATIENT),
        is_doubtful=is_doubtful,
    )


def _absent(status: OximeterStatus) -> msgspec.Raw | None:
    if status & OximeterStatus.INVALID:
        return codes.ABSENT_ERROR
    if status & (OximeterStatus.UNAVAILABLE | _NO_PATIENT):
        return codes.ABSENT_NOT_PERFORMED
    return codes.ABSENT_FOR_NOW if status & OximeterStatus.CALIBRATING else None


def _notes(source: str, bits: type[IntFlag], found: IntFlag) -> tuple[Annotation, ...]:
    words = [str(bit.name).lower().replace("_", " ") for bit in bits if bit in found]
    return (Annotation(f"{source}: {', '.join(words)}."),) if words else ()
