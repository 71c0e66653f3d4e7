"""Continuous measurements as Observations whose value is SampledData.

They carry neither 2708-6 nor 8867-4: R4 closes the value of whatever carries these codes to a
single quantity. So LOINC names the method here, as it may of the same measure, and a series is
stored by its MDC code: rules for single values never meet it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import OximetrySeries
from fhir_mappings import codes, possible, quality
from fhir_mappings.codes import Unit
from fhir_mappings.elements import SampledData
from fhir_mappings.possible import Bounds, is_possible
from fhir_mappings.source import MappedObservation, Source, quantity

_Row = tuple[Decimal | None, ...]

_ZERO: Final = Decimal(0)
_GAP: Final = "E"  # FHIR's only word for a sample that is not there


def observations(source: Source, reading: OximetrySeries) -> tuple[MappedObservation, ...]:
    """Return the saturation's series and, unless it is one long gap, the pulse's.

    A sample that no living body can have is a gap, as a single value would be an error.
    """
    found = quality.of_oximeter(reading.status, reading.sensor_status)
    spo2 = _possible(reading.spo2, possible.SPO2)
    absent = found.absent or (codes.ABSENT_ERROR if _is_empty(spo2) else None)
    rows = [(codes.SPO2_SERIES, spo2)]
    if not _is_empty(pulse := _possible(reading.pulse_per_min, possible.PULSE)):
        rows.append((codes.PULSE_SERIES, pulse))
    steps = len(spo2) - 1
    until = source.effective_at + steps * timedelta(milliseconds=reading.period_ms)
    return tuple(
        source.observation(
            measure,
            found,
            absent=absent,
            sampled=_sampled(row, measure.unit, reading.period_ms),
            until=until,
        )
        for measure, row in rows
    )


def _possible(row: _Row, bounds: Bounds) -> _Row:
    return tuple(sample if is_possible(sample, bounds) else None for sample in row)


def _is_empty(row: _Row) -> bool:
    return all(sample is None for sample in row)


def _sampled(row: _Row, unit: Unit, period_ms: int) -> SampledData:
    return SampledData(
        origin=quantity(_ZERO, unit),
        period=period_ms,
        factor=1,
        dimensions=1,
        data=" ".join(_GAP if sample is None else f"{sample:f}" for sample in row),
    )
