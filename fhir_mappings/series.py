"""Continuous measurements as Observations whose value is SampledData.

They carry neither 2708-6 nor 8867-4: R4 closes the value of whatever carries these codes to a
single quantity. So LOINC names the method here, as it may of the same measure, and a series is
stored by its MDC code: rules for single values never meet it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import Kind, OximetrySeries
from fhir_mappings import codes, quality
from fhir_mappings.codes import Unit
from fhir_mappings.elements import SampledData
from fhir_mappings.source import MappedObservation, Source, quantity

_ZERO: Final = Decimal(0)
_GAP: Final = "E"  # FHIR's only word for a sample that is not there


def observations(source: Source, reading: OximetrySeries) -> tuple[MappedObservation, ...]:
    """Return the saturation's series and, unless it is one long gap, the pulse's."""
    found = quality.of_oximeter(reading.status, reading.sensor_status)
    absent = found.absent
    if absent is None and reading.kind is not Kind.MEASUREMENT:
        absent = codes.ABSENT_ERROR
    rows = [(codes.SPO2_SERIES, reading.spo2)]
    if any(sample is not None for sample in reading.pulse_per_min):
        rows.append((codes.PULSE_SERIES, reading.pulse_per_min))
    steps = len(reading.spo2) - 1
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


def _sampled(row: Iterable[Decimal | None], unit: Unit, period_ms: int) -> SampledData:
    return SampledData(
        origin=quantity(_ZERO, unit),
        period=period_ms,
        factor=1,
        dimensions=1,
        data=" ".join(_GAP if sample is None else f"{sample:f}" for sample in row),
    )
