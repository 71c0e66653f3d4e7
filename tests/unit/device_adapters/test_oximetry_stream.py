"""A continuous stream reduced to one series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import (
    MAX_SAMPLES,
    NAN,
    Kind,
    Number,
    OximeterStatus,
    SensorStatus,
)
from device_adapters.gatt.oximetry_stream import Frame, Reduced, reduce_stream
from device_adapters.gatt.pulse_oximeter import Continuous, decode_continuous

START = datetime(2026, 3, 1, 6, 31, 5, tzinfo=UTC)


def frame(
    second: float,
    spo2: str | Number = "97",
    pulse: str | Number = "72",
    *,
    status: int | None = None,
    sensor: int | None = None,
) -> Frame:
    return Frame(
        START + timedelta(seconds=second),
        Continuous(
            spo2=Decimal(spo2) if isinstance(spo2, str) else spo2,
            pulse_per_min=Decimal(pulse) if isinstance(pulse, str) else pulse,
            status=status,
            sensor_status=sensor,
        ),
    )


def reduced(frames: Sequence[Frame]) -> Reduced:
    found = reduce_stream(frames)
    assert found is not None
    return found


def test_one_frame_a_second_is_one_sample_each_as_precise_as_sent() -> None:
    found = reduced([frame(0, "97.0"), frame(1, "96"), frame(2, "95.50", "71.0")])

    assert found.start == START
    assert found.series.period_ms == 1000
    assert [str(sample) for sample in found.series.spo2] == ["97.0", "96", "95.50"]
    assert [str(sample) for sample in found.series.pulse_per_min] == ["72", "72", "71.0"]
    assert found.series.kind is Kind.MEASUREMENT


def test_a_pause_is_a_gap_as_long_as_it_was() -> None:
    found = reduced([frame(0), frame(1), frame(5)])

    assert found.series.spo2 == (Decimal(97), Decimal(97), None, None, None, Decimal(97))


def test_frames_go_to_the_nearest_sample_whatever_their_order() -> None:
    found = reduced([frame(2.3, "93"), frame(0, "91"), frame(0.8, "92")])

    assert found.series.spo2 == (Decimal(91), Decimal(92), Decimal(93))


def test_of_two_frames_for_one_sample_the_later_stays() -> None:
    assert reduced([frame(0, "91"), frame(0.4, "92")]).series.spo2 == (Decimal(92),)


def test_no_number_is_a_gap_and_gaps_at_the_ends_are_cut() -> None:
    frames = [frame(0, NAN, NAN), frame(1), frame(2, NAN, NAN), frame(3), frame(4, NAN, NAN)]

    found = reduced(frames)

    assert found.start == START + timedelta(seconds=1)
    assert found.series.spo2 == (Decimal(97), None, Decimal(97))


def test_a_pulse_alone_is_a_sample_with_a_gap_beside() -> None:
    found = reduced([frame(0, NAN, "72"), frame(1)])

    assert found.series.spo2 == (None, Decimal(97))
    assert found.series.pulse_per_min == (Decimal(72), Decimal(72))


def test_zero_is_a_number() -> None:
    assert reduced([frame(0, "0", NAN)]).series.spo2 == (Decimal(0),)


@pytest.mark.parametrize(
    "status",
    [
        OximeterStatus.CALIBRATING,
        OximeterStatus.UNAVAILABLE,
        OximeterStatus.INVALID,
        OximeterStatus.EARLY_ESTIMATE,
    ],
)
def test_a_number_that_is_none_to_use_is_a_gap_and_spoils_nothing_else(
    status: OximeterStatus,
) -> None:
    found = reduced([frame(0, status=0), frame(1, status=status), frame(2, status=0)])

    assert found.series.spo2 == (Decimal(97), None, Decimal(97))
    assert found.series.status == 0
    assert found.series.kind is Kind.MEASUREMENT


def test_the_doubt_of_one_frame_is_the_series_doubt() -> None:
    found = reduced(
        [
            frame(0, status=OximeterStatus.ONGOING, sensor=SensorStatus.LOW_PERFUSION),
            frame(1, status=OximeterStatus.ONGOING | OximeterStatus.QUESTIONABLE, sensor=0),
        ]
    )

    assert found.series.status == OximeterStatus.QUESTIONABLE
    assert found.series.sensor_status == SensorStatus.LOW_PERFUSION


def test_a_series_without_status_has_none() -> None:
    found = reduced([frame(0)])

    assert (found.series.status, found.series.sensor_status) == (None, None)


def test_a_demonstration_makes_the_whole_series_one() -> None:
    found = reduced([frame(0), frame(1, status=OximeterStatus.DEMONSTRATION)])

    assert found.series.status == OximeterStatus.DEMONSTRATION
    assert found.series.kind is Kind.FAILED_ATTEMPT


def test_a_demonstration_alone_stays_one_and_has_no_sample() -> None:
    found = reduced([frame(0, status=OximeterStatus.DEMONSTRATION)])

    assert found.series.spo2 == (None,)
    assert found.series.status == OximeterStatus.DEMONSTRATION


def test_a_stream_without_a_number_gives_no_series() -> None:
    off_finger = bytes.fromhex("08ff07ff07000800")

    assert reduce_stream([Frame(START, decode_continuous(off_finger))]) is None
    assert reduce_stream([]) is None


def test_a_stream_that_is_too_long_is_refused_and_never_cut() -> None:
    assert len(reduced([frame(0), frame(MAX_SAMPLES - 1)]).series.spo2) == MAX_SAMPLES
    with pytest.raises(ValueError, match="at most 1800"):
        reduce_stream([frame(0), frame(MAX_SAMPLES)])


def test_another_period_spaces_the_samples_otherwise() -> None:
    found = reduce_stream([frame(0), frame(4), frame(8)], period=timedelta(seconds=4))

    assert found is not None
    assert found.series.period_ms == 4000
    assert len(found.series.spo2) == 3


@given(st.permutations([frame(second, str(90 + second)) for second in range(8)]))
def test_the_order_of_arrival_changes_nothing(frames: list[Frame]) -> None:
    assert reduced(frames).series.spo2 == tuple(Decimal(90 + second) for second in range(8))
