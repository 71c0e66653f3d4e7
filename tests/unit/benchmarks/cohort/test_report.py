"""Figures worked by hand on three patients of ten days each.

============  ======  =======  =======  =========  ==========  ==========  =============
deterioration crossed  red at  ours at  ours red   plain at    plain red   plain's red*
============  ======  =======  =======  =========  ==========  ==========  =============
1 lungs         0       60 min    -30      90          10          60            70
2 lungs         0      120 min     20       -           40         130           130
3 lungs         0        -        100       -           -           -             -
4 heart         0        -         -        -           50          -             -
============  ======  =======  =======  =========  ==========  ==========  =============

Minutes after the crossing; * from the crossing of red on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from benchmarks.cohort import telling
from benchmarks.cohort.confidence import wilson
from benchmarks.cohort.outcomes import Finding, Found, Miss, Outcome, Tally
from benchmarks.cohort.records import Truth
from benchmarks.cohort.report import Report, report

_CROSSED = datetime(2026, 10, 1, tzinfo=UTC)


def _at(minutes: float | None) -> datetime | None:
    return None if minutes is None else _CROSSED + timedelta(minutes=minutes)


def _found(
    kind: str,
    *,
    red: float | None = None,
    ours: float | None = None,
    ours_red: float | None = None,
    plain: float | None = None,
    plain_red: float | None = None,
    compared: float | None = None,
    by_chance: tuple[bool, bool] | None = None,
) -> Found:
    return Found(
        truth=Truth(
            id=UUID(int=9),
            patient_id=UUID(int=1),
            programme="p",
            kind=kind,
            severity="yellow" if red is None else "red",
            measures=("spo2",),
            onset=_CROSSED - timedelta(hours=5),
            crossed_at=_CROSSED,
            crossed_red_at=_at(red),
            ends_at=_CROSSED + timedelta(days=3),
        ),
        rules=_finding(ours, ours_red, Miss.NOT_ANSWERED),
        plain=_finding(plain, plain_red, Miss.WITHIN_LIMITS),
        plain_red_at=_at(compared),
        by_chance=by_chance,
    )


def _finding(at: float | None, red: float | None, miss: Miss) -> Finding:
    return Finding(miss=miss) if at is None else Finding(at=_at(at), red_at=_at(red))


def _outcome(number: int, programme: str, counts: tuple[int, ...], *found: Found) -> Outcome:
    alerts, reds, false, plain, plain_reds, plain_false, daily = counts
    return Outcome(
        patient_id=UUID(int=number),
        programme=programme,
        days=10,
        readings=20,
        alerts=alerts,
        reds=reds,
        false=false,
        plain=plain,
        plain_reds=plain_reds,
        plain_false=plain_false,
        plain_daily=daily,
        requests=2,
        answered=1,
        rules={"limit.spo2": Tally(alerts=alerts, reds=reds, false=false)},
        found=found,
    )


def _report(*, alerts: int = 2) -> Report:
    return report(
        [
            _outcome(
                1,
                "copd",
                (alerts, 1, 1, 9, 4, 2, 5),
                _found(
                    "lungs", red=60, ours=-30, ours_red=90, plain=10, plain_red=60, compared=70
                ),
                _found(
                    "lungs",
                    red=120,
                    ours=20,
                    plain=40,
                    plain_red=130,
                    compared=130,
                    by_chance=(True, True),
                ),
            ),
            _outcome(
                2,
                "copd",
                (1, 0, 0, 0, 0, 0, 0),
                _found("lungs", ours=100, by_chance=(False, True)),
            ),
            _outcome(3, "heart_failure", (1, 0, 1, 6, 1, 6, 3), _found("heart", plain=50)),
        ],
        resamples=200,
        seed=1,
    )


def test_sensitivity_and_delays_by_hand() -> None:
    _, lungs = _report().kinds

    assert (lungs.kind, lungs.count, lungs.reds) == ("lungs", 3, 2)
    assert (lungs.rules.found, lungs.rules.sensitivity) == (3, 1)
    assert lungs.rules.interval == wilson(3, 3)
    # Of -30, 20 and 100 the middle is 20 and the nearest rank of 90 % is the third.
    assert (lungs.rules.median_min, lungs.rules.p90_min) == (20, 100)
    # One red of ours, 90 minutes after the crossing of yellow, 30 after that of red.
    assert (lungs.rules.as_red, lungs.rules.red_median_min) == (1, 30)
    assert lungs.plain.sensitivity == pytest.approx(2 / 3)
    assert (lungs.plain.median_min, lungs.plain.p90_min) == (25, 40)
    # 60 and 130 minutes, with red crossed at 60 and 120: 0 and 10.
    assert (lungs.plain.red_median_min, lungs.plain.red_p90_min) == (5, 10)
    assert (lungs.only_rules, lungs.only_plain) == (1, 0)


def test_reds_are_compared_pair_by_pair() -> None:
    heart, lungs = _report().kinds

    # 90 beside 70 is 20 minutes later; beside 130 there is no red of ours, but a yellow at 20.
    assert (lungs.lag.pairs, lungs.lag.within, lungs.lag.never) == (2, 1, 1)
    assert (lungs.lag.reached_within, lungs.lag.worst_min) == (2, 20)
    assert not lungs.is_as_quick
    assert (heart.lag.pairs, heart.is_as_quick) == (0, True)


def test_misses_are_counted_by_cause() -> None:
    heart, lungs = _report().kinds

    assert heart.rules.misses == {"not_answered": 1}
    assert lungs.plain.misses == {"within_limits": 1}
    assert (heart.is_as_sensitive, lungs.is_as_sensitive) == (False, True)
    assert heart.only_plain == 1


def test_finds_by_chance_are_counted_where_there_was_a_time_to_look_at() -> None:
    heart, lungs = _report().kinds

    assert (lungs.chance.of, lungs.chance.rules, lungs.chance.plain) == (2, 1, 2)
    assert heart.chance.of == 0


def test_the_burden_is_that_of_all_patients_and_days() -> None:
    whole = _report().whole

    assert (whole.patients, whole.patient_days, whole.readings) == (3, 30, 60)
    assert (whole.alerts, whole.plain, whole.plain_daily, whole.false) == (4, 15, 8, 2)
    assert whole.per_day == pytest.approx(4 / 30)
    assert whole.plain_per_day == pytest.approx(1 / 2)
    assert whole.share == pytest.approx(4 / 15)
    assert whole.share_of_false == pytest.approx(2 / 8)
    assert whole.share_of_daily == pytest.approx(1 / 2)
    assert (whole.requests, whole.answered) == (6, 3)


def test_programmes_are_told_apart() -> None:
    copd, heart = _report().programmes

    assert (copd.programme, copd.patients, copd.alerts, copd.plain) == ("copd", 2, 3, 9)
    assert (heart.programme, heart.patients, heart.alerts, heart.plain) == (
        "heart_failure",
        1,
        1,
        6,
    )


def test_rules_are_told_apart() -> None:
    (rule,) = _report().rules

    assert (rule.rule, rule.alerts, rule.reds, rule.false) == ("limit.spo2", 4, 1, 2)
    assert rule.per_day == pytest.approx(4 / 30)


def test_a_third_is_enough_and_more_is_too_much() -> None:
    assert _report(alerts=3).is_share_met  # 5 of 15
    assert not _report(alerts=4).is_share_met  # 6 of 15
    assert not _report(alerts=2).is_met  # the share alone is not the aim


def test_the_text_says_the_aim_and_whether_it_is_met() -> None:
    text = "\n".join(telling.lines(_report(), has_rules=True))

    assert "3 patients, 30 patient-days, 60 readings, 4 deteriorations" in text
    assert "at most a third of the alerts" in text
    assert "alerts: 26.7 % of the plain limit's" in text
    assert (
        "lungs: sensitivity 1.00 beside 0.67: met; red within 30 minutes 1 of 2: not met" in text
    )
    assert "heart: sensitivity 0.00 beside 1.00: not met" in text
    assert "The aim as a whole: not met" in text
    assert "lungs: rules none; plain within_limits 1" in text


def test_without_rules_the_text_tells_of_the_plain_limit_alone() -> None:
    text = "\n".join(telling.lines(_report(), has_rules=False))

    assert "aim" not in text.lower()
    assert "not_answered" not in text


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (None, "-"),
        (-12.4, "-12 min"),
        (59, "59 min"),
        (90, "1.5 h"),
        (2879, "48.0 h"),
        (4320, "3.0 d"),
    ],
)
def test_durations_are_said_in_the_unit_that_fits(minutes: float | None, said: str) -> None:
    assert telling.spoken(minutes) == said
