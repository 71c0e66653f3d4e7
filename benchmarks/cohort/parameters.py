"""The parameters of a cohort, read from a file in which every number names its source."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from ingest_service.plans.hours import Hours
from ingest_service.plans.limits import Family
from ingest_service.plans.plan import Confirm, RuleSettings

#: The parameters that are used where no other file is named.
DEFAULT: Final = Path(__file__).with_name("parameters.json")
_MOST_BYTES: Final = 4_000_000

Bounds = tuple[float, float]
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


class ParametersError(Exception):
    """The file of parameters cannot be used; the text says where and why."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: a misspelt name is an error, never a default."""


class Spread(_Part, frozen=True, kw_only=True):
    """How patients differ: a normal distribution, cut at its bounds."""

    mean: float
    sd: float
    low: float
    high: float


class Limit(_Part, frozen=True, kw_only=True):
    """One limit: a value, a distance from the patient's usual, or the further out of both."""

    absolute: float | None = None
    offset: float | None = None


class Window(_Part, frozen=True, kw_only=True):
    """When something is measured: wall-clock HH:MM, ISO weekdays, none is all."""

    name: str
    start: str
    end: str
    weekdays: tuple[int, ...] = ()


class Activity(_Part, frozen=True, kw_only=True):
    """What one device is used for: families as in plans, readings per sitting."""

    family: str
    windows: tuple[Window, ...]
    readings: int = 1


class Programme(_Part, frozen=True, kw_only=True):
    """One kind of patient: how many, what they measure, usual values, limits and rules."""

    share: float
    monitored_days: int | None = None
    risk: str
    oxygen: bool | None = None
    asks_symptoms: bool = False
    irregular_share: float = 0.0
    activities: tuple[Activity, ...]
    usual: Mapping[str, Spread]
    limits: Mapping[str, Mapping[str, Limit]]
    confirm: Mapping[Family, Confirm] = {}
    rules: tuple[RuleSettings, ...] = ()
    deteriorations: Mapping[str, float]


class Variation(_Part, frozen=True, kw_only=True):
    """How one measure varies: standard deviations, and a rhythm as hours and offsets.

    ``day_sd`` from day to day, ``slot_sd`` from half-hour to half-hour, ``reading_sd`` from
    reading to reading; ``spread_cv`` is how patients differ in all three.
    """

    day_sd: float
    slot_sd: float
    reading_sd: float
    spread_cv: float
    resolution: str
    possible: Bounds
    rhythm: tuple[Bounds, ...] = ()
    first_day: float = 0.0


class Dips(_Part, frozen=True, kw_only=True):
    """Short falls of a measure: after the stairs, a coughing fit, talking."""

    per_slot: float
    mean_depth: float
    minutes: Bounds


class Irregular(_Part, frozen=True, kw_only=True):
    """What atrial fibrillation does to readings."""

    reading_factor: float
    flagged_share: float


class Artifacts(_Part, frozen=True, kw_only=True):
    """What goes wrong with a reading; probabilities are per reading or per sitting."""

    movement: float
    movement_sd_factor: float
    loose_cuff: float
    loose_cuff_shift: Bounds
    cold_finger: float
    cold_finger_depth: Bounds
    failed_run: float
    failed_run_length: Bounds
    failed_run_when_unwell: float
    gives_up: float


class OtherPerson(_Part, frozen=True, kw_only=True):
    """Somebody else who uses the device."""

    home_share: float
    per_sitting: float
    slot_share: float
    wrong_slot: float
    usual: Mapping[str, Spread]


class Behaviour(_Part, frozen=True, kw_only=True):
    """How patients measure and answer."""

    adherence: Spread
    spell_per_90_days: float
    spell_days: Bounds
    jitter_min: float
    gap_s: Bounds
    answers_request: Spread
    answer_median_min: float
    answer_sigma: float
    asleep: tuple[str, str]
    answers_asleep: float
    unscheduled_per_hour: float
    unscheduled_asleep_factor: float
    answers_questions: float
    dyspnoea_usual: Spread
    dyspnoea_day_sd: float
    health_usual: Spread
    health_day_sd: float


class Delivery(_Part, frozen=True, kw_only=True):
    """How readings reach the server."""

    seconds: Bounds
    away_per_90_days: float
    away_h: Bounds
    off_per_90_days: float
    off_h: Bounds
    kept_in_memory: float
    burst_s: Bounds


class Effect(_Part, frozen=True, kw_only=True):
    """What a deterioration does to one measure.

    With ``beyond`` it goes so far beyond the patient's own limit on that side (the red one where
    the deterioration is red); with ``change`` by so much, whatever the limits.
    """

    measure: str
    side: str
    after_h: Bounds = (0.0, 0.0)
    rise_h: Bounds
    beyond: Bounds | None = None
    change: Bounds | None = None


class Course(_Part, frozen=True, kw_only=True):
    """One kind of deterioration."""

    effects: tuple[Effect, ...]
    hold_h: Bounds
    recover_h: Bounds
    red_share: float
    dyspnoea: Bounds = (0.0, 0.0)
    health: Bounds = (0.0, 0.0)
    symptom_lead_h: Bounds = (0.0, 0.0)
    is_felt: bool = True
    stops_h_before_crossing: Bounds | None = None


class Placing(_Part, frozen=True, kw_only=True):
    """When deteriorations may begin."""

    first_day: float
    quiet_days: float
    room_days: float


class Nurses(_Part, frozen=True, kw_only=True):
    """The unit's opening hours, and within how many open minutes an alert is taken and resolved.

    Times are log-normal: a median, and ``sigma`` of the logarithm.
    """

    hours: Hours
    take_red_median_min: float
    take_yellow_median_min: float
    resolve_median_min: float
    sigma: float


class Reporting(_Part, frozen=True, kw_only=True):
    """How sure the report is: resamples of the bootstrap over patients."""

    resamples: int


class Parameters(_Part, frozen=True, kw_only=True):
    """All that a cohort follows from."""

    seed: int
    patients: int
    days: int
    start: date
    time_zone: str
    programmes: Mapping[str, Programme]
    variation: Mapping[str, Variation]
    dips: Dips
    irregular: Irregular
    artifacts: Artifacts
    other_person: OtherPerson
    behaviour: Behaviour
    delivery: Delivery
    placing: Placing
    deteriorations: Mapping[str, Course]
    nurses: Nurses
    reporting: Reporting

    @property
    def zone(self) -> ZoneInfo:
        """Return the homes' time zone."""
        return ZoneInfo(self.time_zone)


def read(path: Path) -> Parameters:
    """Read parameters from a file.

    Shape: the members of `Parameters`, where any value may be written as an object of ``value``
    and ``source``; a number or a list of numbers must be.

    Raises:
        ParametersError: If it cannot be read, a number has no source, or a member is missing,
            misspelt or of the wrong kind; the text names the place in the file.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ParametersError(f"{path}: {error.strerror}") from error
    if len(text) > _MOST_BYTES:
        raise ParametersError(f"{path}: larger than {_MOST_BYTES} bytes")
    try:
        document: Json = msgspec.json.decode(text)
        parameters = msgspec.convert(_bare(document, "$"), Parameters)
    except (msgspec.MsgspecError, ParametersError, RecursionError) as error:
        raise ParametersError(f"{path}: {error}") from error
    _check(parameters, path)
    return parameters


def _bare(node: Json, place: str, *, is_sourced: bool = False) -> Json:
    """Return the document without its sources, having seen that each number has one."""
    if isinstance(node, dict):
        if "value" in node:
            return _bare(_sourced(node, place), f"{place}.value", is_sourced=True)
        return {
            name: _bare(value, f"{place}.{name}", is_sourced=is_sourced)
            for name, value in node.items()
            if name != "source"
        }
    if isinstance(node, list):
        return [
            _bare(one, f"{place}[{index}]", is_sourced=is_sourced)
            for index, one in enumerate(node)
        ]
    if isinstance(node, int | float) and not isinstance(node, bool) and not is_sourced:
        raise ParametersError(f"{place}: a number without a source; write value and source")
    return node


def _sourced(members: dict[str, Json], place: str) -> Json:
    source = members.get("source")
    if not isinstance(source, str) or not source.strip():
        raise ParametersError(f"{place}: a value without a source")
    if extra := sorted(set(members) - {"value", "source"}):
        raise ParametersError(f"{place}: {extra[0]}: beside a value stands its source alone")
    return members["value"]


def _check(parameters: Parameters, path: Path) -> None:
    """Refuse what is well-formed and yet makes no cohort."""
    for place, is_right, why in _conditions(parameters):
        if not is_right:
            raise ParametersError(f"{path}: $.{place}: {why}")


def _conditions(parameters: Parameters) -> list[tuple[str, bool, str]]:
    shares = sum(one.share for one in parameters.programmes.values())
    found = [
        ("patients", parameters.patients > 0, "must be above zero"),
        ("days", parameters.days > 0, "must be above zero"),
        ("time_zone", parameters.time_zone in available_timezones(), "unknown time zone"),
        ("programmes", abs(shares - 1) < _TOLERANCE, f"shares sum to {shares:g}, not to 1"),
    ]
    measures = parameters.variation.keys()
    for name, programme in parameters.programmes.items():
        place = f"programmes.{name}"
        found += [
            (f"{place}.usual.{one}", one in measures, "not among the members of variation")
            for one in programme.usual
        ]
        found += [
            (f"{place}.limits.{one}", one in programme.usual, "has no usual value")
            for one in programme.limits
        ]
        found += [
            (
                f"{place}.deteriorations.{one}",
                one in parameters.deteriorations,
                "not among the members of deteriorations",
            )
            for one in programme.deteriorations
        ]
    for name, course in parameters.deteriorations.items():
        found += [
            (
                f"deteriorations.{name}.effects",
                (effect.beyond is None) != (effect.change is None),
                "an effect has either beyond or change",
            )
            for effect in course.effects
        ]
        found += [
            (f"deteriorations.{name}.effects", effect.side in _SIDES, "side is low or high")
            for effect in course.effects
        ]
    return found


_TOLERANCE: Final = 1e-9
_SIDES: Final = ("low", "high")
