"""Sentences, times and charts: what a nurse reads, in both languages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from clinician_api.pages import sparkline, values
from clinician_api.pages.sparkline import Point
from clinician_api.pages.times import Reader
from device_adapters.contract.readings import CuffStatus, SensorStatus
from ingest_service.alerts.finding import Evidence
from ingest_service.messages import texts
from ingest_service.plans.limits import Limits, Measure
from ingest_service.wording import catalogue, sentences

CATALOGUES = catalogue.load()
STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOW = datetime(2026, 11, 23, 9, 42, tzinfo=UTC)
PAGES = Path(values.__file__).parent
MESSAGES = Path(texts.__file__).parent
WORDING = Path(catalogue.__file__).parent

PRESSURE = {
    Measure.SYSTOLIC: Limits(
        yellow_low=Decimal(100), yellow_high=Decimal(150), red_high=Decimal(180)
    ),
    Measure.DIASTOLIC: Limits(yellow_high=Decimal(90), red_high=Decimal(110)),
}
SATURATION = {Measure.SPO2: Limits(red_low=Decimal(85), yellow_low=Decimal(88))}


def used(minute: int, *values: int | str) -> Evidence:
    numbers = [Decimal(value) for value in values]
    return Evidence(
        observation_id=uuid4(),
        code="",
        effective_at=NOW + timedelta(minutes=minute),
        systolic=numbers[0] if len(numbers) == 2 else None,
        diastolic=numbers[1] if len(numbers) == 2 else None,
        value=numbers[0] if len(numbers) == 1 else None,
    )


@pytest.mark.parametrize(
    ("rule", "limits", "readings", "swedish", "english"),
    [
        (
            "limit.blood_pressure",
            PRESSURE,
            [used(0, 192, 118), used(5, 188, 114)],
            (
                "Blodtryck 192/118 och 188/114 mmHg med 5 minuters mellanrum, över patientens"
                " gräns 180/110."
            ),
            (
                "Blood pressure 192/118 and 188/114 mmHg 5 minutes apart, above the patient's"
                " limit 180/110."
            ),
        ),
        (
            "limit.blood_pressure",
            PRESSURE,
            [used(0, 155, 80)],
            "Blodtryck 155/80 mmHg, över patientens gräns 150/90.",
            "Blood pressure 155/80 mmHg, above the patient's limit 150/90.",
        ),
        (
            "limit.blood_pressure",
            PRESSURE,
            [used(0, 98, 58)],
            "Blodtryck 98/58 mmHg, under patientens gräns systoliskt 100.",
            "Blood pressure 98/58 mmHg, below the patient's limit systolic 100.",
        ),
        (
            "limit.spo2",
            SATURATION,
            [used(0, 82)],
            "Syremättnad 82 %, under patientens gräns 85\N{NO-BREAK SPACE}%.",
            "Oxygen saturation 82 %, below the patient's limit 85\N{NO-BREAK SPACE}%.",
        ),
        (
            "limit.spo2",
            SATURATION,
            [used(0, "84.5"), used(60, 84), used(180, 83)],
            (
                "Syremättnad 83 %, den senaste av 3 mätningar under 3 timmar, under patientens"
                " gräns 85\N{NO-BREAK SPACE}%."
            ),
            (
                "Oxygen saturation 83 %, the last of 3 readings within 3 hours, below the"
                " patient's limit 85\N{NO-BREAK SPACE}%."
            ),
        ),
        (
            "limit.spo2",
            SATURATION,
            [used(0, 82), used(60, 89), used(180, 90)],  # the newest does not hide what is red
            (
                "Syremättnad 82 %, under patientens gräns 85\N{NO-BREAK SPACE}%; nu 90 %,"
                " 3 mätningar under 3 timmar."
            ),
            (
                "Oxygen saturation 82 %, below the patient's limit 85\N{NO-BREAK SPACE}%;"
                " now 90 %, 3 readings within 3 hours."
            ),
        ),
        (
            "limit.pulse",
            {Measure.PULSE: Limits(yellow_low=Decimal(50))},
            [used(0, "44.5")],
            "Puls 44,5 slag/min, under patientens gräns 50.",
            "Pulse 44.5 per minute, below the patient's limit 50.",
        ),
        (
            "failed_attempts",
            {},
            [used(0), used(5), used(10)],
            "3 misslyckade mätförsök och inget som lyckats: ring patienten.",
            "3 failed attempts to measure and none that succeeded: call the patient.",
        ),
        (
            "could_not_judge",
            {},
            [],
            "En mätning kunde inte bedömas automatiskt: bedöm den själv.",
            "A reading could not be judged automatically: judge it yourself.",
        ),
        (
            "limit.pulse",
            {},
            [],
            "Larm enligt regeln limit.pulse; mätningarna bakom det kan inte visas.",
            "Alert by the rule limit.pulse; its readings cannot be shown.",
        ),
    ],
)
def test_reasons(
    rule: str,
    limits: Mapping[Measure, Limits],
    readings: Sequence[Evidence],
    swedish: str,
    english: str,
) -> None:
    assert sentences.sentence(CATALOGUES["sv"], rule, limits, readings, zone=UTC) == swedish
    assert sentences.sentence(CATALOGUES["en"], rule, limits, readings, zone=UTC) == english


def written() -> set[str]:
    """Return every text that the code asks a catalogue for."""
    return {
        message if isinstance(message, str) else message[0]
        for folder in (PAGES, MESSAGES, WORDING)
        for _, _, message, _, _ in extract_from_dir(
            str(folder),
            method_map=[("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")],
            keywords={"_": None, "gettext": None, "ngettext": (1, 2)},
        )
    }


@pytest.mark.parametrize("language", ["sv", "en"])
def test_every_text_is_in_the_catalogue(language: str) -> None:
    with (WORDING / "locale" / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        known = read_po(file, locale=language)
    there = {
        message.id if isinstance(message.id, str) else message.id[0]
        for message in known
        if message.id and _is_said(message.string)
    }

    assert written() - there == set()
    assert there - written() == set()


def _is_said(string: Sequence[str] | None) -> bool:
    """Tell whether a message has its text, in every form of the plural."""
    return bool(string) and all(string or ())


def test_swedish_unless_another_language_is_asked_for() -> None:
    def chosen(cookie: str | None, accepted: str | None) -> str:
        return catalogue.choose(CATALOGUES, chosen=cookie, accepted=accepted).code

    assert chosen(None, None) == "sv"
    assert chosen(None, "fi-FI,fi;q=0.9") == "sv"
    assert chosen(None, "en-GB,en;q=0.9,sv;q=0.8") == "en"
    assert chosen("sv", "en-GB") == "sv"
    assert chosen("xx", "en") == "en"


@pytest.mark.parametrize(
    ("seconds", "swedish"),
    [
        (0, "0 min"),
        (59, "0 min"),
        (12 * 60, "12 min"),
        (100 * 60, "1 h 40 min"),
        (26 * 3600, "26 h"),
        (3 * 86400 + 3600, "3 d"),
        (-5, "0 min"),
    ],
)
def test_lengths_are_elapsed_time(seconds: int, swedish: str) -> None:
    reader = Reader(CATALOGUES["sv"], STOCKHOLM, NOW)

    assert reader.length(timedelta(seconds=seconds)) == swedish


def test_moments_are_in_the_units_own_zone() -> None:
    swedish = Reader(CATALOGUES["sv"], STOCKHOLM, NOW)

    assert swedish.moment(NOW - timedelta(minutes=12)) == "i dag 10:30"
    assert swedish.moment(NOW - timedelta(hours=11)) == "i går 23:42"
    assert re.fullmatch(r"fre\.? 20 nov\.? 10:42", swedish.moment(NOW - timedelta(days=3)))
    assert swedish.since(NOW) == "nyss"
    assert swedish.day() == "Måndag 23 november 2026"


def chart(points: Sequence[Point], limits: Limits | None = None) -> str:
    return str(
        sparkline.draw(
            points, limits or Limits(), start=NOW - timedelta(days=14), end=NOW, label="<nice>"
        )
    )


def test_equal_times_are_equally_wide() -> None:
    # Three readings within two hours of the last day must not look like three days.
    hours = [timedelta(days=7), timedelta(hours=2), timedelta(hours=1), timedelta(0)]
    svg = chart([Point(NOW - each, Decimal(90)) for each in hours])

    dots = re.findall(r'class="dot" d="([^"]+)"', svg)[0]
    across = [float(x) for x in re.findall(r"M([\d.]+) ", dots)]
    assert across[0] == pytest.approx(sparkline.WIDTH / 2, abs=0.1)
    assert across[3] - across[1] < 1.0


def test_no_line_is_drawn_over_days_without_readings() -> None:
    days = (10, 9, 8, 3, 2, 1)
    svg = chart([Point(NOW - timedelta(days=day), Decimal(90)) for day in days])

    line = re.findall(r'class="ln" d="([^"]+)"', svg)[0]
    assert line.count("M") == 2
    assert line.count("L") == 4


def test_marks_differ_in_shape_and_side() -> None:
    limits = Limits(
        red_low=Decimal(85), yellow_low=Decimal(88), yellow_high=Decimal(97), red_high=Decimal(99)
    )
    numbers = [Decimal(number) for number in (84, 87, 90, 98, 100)]
    svg = chart(
        [Point(NOW - timedelta(days=9 - i), number) for i, number in enumerate(numbers)], limits
    )

    marks = {name: re.findall(rf'class="{name}" d="([^"]+)"', svg) for name in ("oor", "warn")}
    assert [marks["oor"][0].count("M"), marks["warn"][0].count("M")] == [2, 2]
    below, above = marks["oor"][0].split("M")[1:]
    assert below[-18:] != above[-18:]
    assert svg.count('class="pt"') == 0  # the last one has a mark of its own
    assert svg.count('class="band"') == 1
    assert "&lt;nice&gt;" in svg


def test_a_chart_without_values_is_empty_and_valid() -> None:
    assert 'class="ln"' not in chart([])


NAMED = [
    *(flag.name or "" for flag in CuffStatus),
    *(flag.name or "" for flag in SensorStatus),
    *("EARLY_ESTIMATE", "QUESTIONABLE", "FROM_STORAGE"),
]


@pytest.mark.parametrize("name", [name.lower() for name in NAMED])
def test_every_flag_of_the_contract_has_words(name: str) -> None:
    swedish = values.flag(CATALOGUES["sv"], name)

    assert swedish != name.replace("_", " ")
