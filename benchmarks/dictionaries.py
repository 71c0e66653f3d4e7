"""Train the dictionaries that stored texts are compressed with, and say what they are worth.

A dictionary that was released is never made anew: a new one gets the next free number. The samples
are made up, so a dictionary holds the mapping's own words and random ids, and nobody's data.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final

from msgspec import structs
from zstandard import (
    DICT_TYPE_RAWCONTENT,
    ZstdCompressionDict,
    ZstdCompressor,
    ZstdDecompressor,
    train_dictionary,
)

from benchmarks import readings
from device_adapters.contract.messages import Device, ReadingRecord, TimeQuality, encode
from device_adapters.contract.readings import (
    NAN,
    BloodPressure,
    BodyTemperature,
    BodyWeight,
    HeartRate,
    MassUnit,
    PressureUnit,
    PulseOximetry,
    Reading,
    TemperatureUnit,
)
from fhir_mappings.observations import Subject, map_reading
from ingest_service.store import texts

_NEWEST: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
_SPREAD_S: Final = 5 * 365 * 86_400
_TRAINING, _JUDGED = 6000, 1000
_RARE: Final = 0.1  # of all readings: other devices, doubts, failures
_SIZES: Final = {texts.OBSERVATION: 16 * 1024, texts.RECORD: 8 * 1024}
_QUALITIES: Final = (*[TimeQuality.SYNCHRONISED] * 5, *TimeQuality)
_VERSIONS: Final = (*[1] * 20, 2)
_LEVELS: Final = (1, 3, 6, 9, 19)
_REPEAT: Final = 3

Samples = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Mean bytes of each kind of text, and microseconds for one text."""

    bytes_each: Mapping[str, float]
    compress_us: float
    decompress_us: float


def main(argv: Sequence[str] | None = None) -> int:
    """Print what each kind of dictionary makes of the texts; write the trained ones if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dictionaries", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="keep the trained ones")
    arguments = parser.parse_args(argv)
    training, judged = samples(_TRAINING, seed=1), samples(_JUDGED, seed=2)
    for number, size in _SIZES.items():
        given = [text for each in training[number].values() for text in each]
        trained = train_dictionary(size, given, dict_id=number, level=texts.LEVEL)  # pyright: ignore[reportArgumentType] any bytes will do
        plain = b"".join(text for each in training[number].values() for text in each[:2])
        whole = ZstdCompressionDict(plain, dict_type=DICT_TYPE_RAWCONTENT)
        released = texts.dictionaries().get(number)
        candidates = {"plain text": whole, "trained": trained}
        if released:
            candidates["released"] = ZstdCompressionDict(released)
        for name, dictionary in candidates.items():
            for level in _LEVELS:
                _tell(f"{number} {name}", level, worth(dictionary, level, judged[number]))
        if arguments.write:
            (arguments.write / f"{number}.zdict").write_bytes(trained.as_bytes())
    return 0


def samples(count: int, *, seed: int) -> Mapping[int, Samples]:
    """Return made-up texts by dictionary and kind."""
    resources, records = dict[str, list[bytes]](), dict[str, list[bytes]]()
    random = Random(seed)  # noqa: S311 samples, not a secret
    for made in _records(count, random):
        record = structs.replace(made, time_quality=random.choice(_QUALITIES))
        name = type(record.reading).__name__
        records.setdefault(name, []).append(encode(record))
        for mapped in map_reading(
            record,
            Subject(readings.some_id(random)),
            gateway_id=f"gateway-{random.randrange(1000)}",
            issued=record.reception.received_at + timedelta(seconds=1),
            version=random.choice(_VERSIONS),
        ):
            resources.setdefault(f"{name} {mapped.code}", []).append(mapped.resource.encode())
    return {texts.OBSERVATION: resources, texts.RECORD: records}


def worth(dictionary: ZstdCompressionDict, level: int, judged: Samples) -> Worth:
    """Return what a dictionary makes of these texts."""
    dictionary.precompute_compress(level=level)  # pyright: ignore[reportUnknownMemberType] its result is untyped
    compressor = ZstdCompressor(level=level, dict_data=dictionary, write_checksum=True)
    decompressor = ZstdDecompressor(dict_data=dictionary)
    all_texts = [text for each in judged.values() for text in each]
    frames = [compressor.compress(text) for text in all_texts]
    return Worth(
        bytes_each={
            kind: statistics.mean(len(compressor.compress(text)) for text in each)
            for kind, each in judged.items()
        },
        compress_us=_us_each(lambda: [compressor.compress(text) for text in all_texts], frames),
        decompress_us=_us_each(lambda: [decompressor.decompress(one) for one in frames], frames),
    )


def _us_each(run: Callable[[], object], over: Sequence[bytes]) -> float:
    times = list[float]()
    for _ in range(_REPEAT):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times) / len(over) * 1e6


def _tell(name: str, level: int, found: Worth) -> None:
    sizes = ", ".join(f"{kind} {size:.0f}" for kind, size in found.bytes_each.items())
    print(
        f"{name}, level {level}: {found.compress_us:.1f} us and back {found.decompress_us:.1f} us;"
        f" bytes: {sizes}"
    )


def _records(count: int, random: Random) -> Iterator[ReadingRecord]:
    for number in range(count):
        at = _NEWEST - timedelta(seconds=random.randrange(_SPREAD_S))
        address = ":".join(f"{byte:02X}" for byte in random.randbytes(6))
        device = readings.described(address, random)
        if random.random() < 0.3:  # noqa: PLR2004 many devices say little of themselves
            device = Device(id=address, manufacturer=device.manufacturer, model=device.model)
        boot = readings.some_id(random)
        if random.random() < _RARE:
            yield readings.record(
                device, readings.CUFF, random.randbytes(12), _rare(random),
                at=at, boot=boot, random=random,
            )  # fmt: skip
        elif number % 2:
            yield readings.pressure(device, at, boot, random)
        else:
            yield readings.saturation(device, at, boot, random)


def _rare(random: Random) -> Reading:
    number = Decimal(random.randint(50, 150))
    kpa = number / 10
    return random.choice(
        [
            BloodPressure(systolic=kpa, diastolic=kpa, mean=kpa, unit=PressureUnit.KPA),
            BloodPressure(
                systolic=number, diastolic=number, mean=NAN, unit=PressureUnit.MMHG,
                pulse_per_min=number, user_index=1, status=random.choice([1, 2, 4, 32]),
            ),
            BloodPressure(systolic=NAN, diastolic=NAN, mean=NAN, unit=PressureUnit.MMHG),
            PulseOximetry(
                spo2=number.min(Decimal(100)), pulse_per_min=number,
                status=random.choice([0x20, 0x100, 0x200, 0x4000, 0x8000]),
                sensor_status=random.choice([None, 0x8]),
            ),
            BodyTemperature(temperature=kpa, unit=TemperatureUnit.CELSIUS, site=2),
            BodyWeight(weight=number, unit=MassUnit.KILOGRAM),
            HeartRate(heart_rate_per_min=number, has_contact=True),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
