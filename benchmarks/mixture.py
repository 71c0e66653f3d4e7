"""Pressures and saturations of a region's patients in turn, as their homes would send them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid4

from benchmarks import readings
from benchmarks.population import Population
from device_adapters.contract.messages import ReadingRecord


def mix(
    region: Population, count: int, *, newest: datetime, over: timedelta, seed: int
) -> Iterator[tuple[str, ReadingRecord]]:
    """Yield readings with their gateways, in the order of measuring, the last one at ``newest``.

    Every second one is a pressure with its pulse, the others are saturations with theirs, of all
    patients in turn; so each measure gives as many Observations as the next one.
    """
    random = Random(seed)  # noqa: S311 load, not a secret
    boots = {gateway_id: UUID(int=random.getrandbits(128)) for gateway_id in region.devices}
    patients = [
        (gateway_id, readings.described(cuff, random), readings.described(oximeter, random))
        for gateway_id, cuffs in region.devices.items()
        for cuff, oximeter in zip(cuffs, region.oximeters[gateway_id], strict=True)
    ]
    random.shuffle(patients)
    for number in range(count):
        gateway_id, cuff, oximeter = patients[number // 2 % len(patients)]
        at = newest - over * ((count - 1 - number) / count)
        if number % 2:
            yield gateway_id, readings.saturation(oximeter, at, boots[gateway_id], random)
        else:
            yield gateway_id, readings.pressure(cuff, at, boots[gateway_id], random)


def new_epochs(region: Population) -> dict[str, UUID]:
    """Return an epoch for each gateway."""
    return {gateway_id: uuid4() for gateway_id in region.devices}
