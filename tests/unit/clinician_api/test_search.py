"""Searches, as FHIR R4's chapter on search words them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinician_api.errors import BadRequestError
from clinician_api.fhir import dates, scopes
from clinician_api.fhir.cursor import Cursors, Position
from clinician_api.fhir.search import Query, parse

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOW = datetime(2026, 11, 23, 9, 42, tzinfo=UTC)
PATIENT = "f6f1a1de-7a64-4cf4-a2d4-7a3f4f2a9a11"
OTHER = "0a4f5c5e-9df4-4f0e-8a9e-5b7c3d2e1f00"


def query(*given: tuple[str, str], is_strict: bool = False) -> Query:
    return parse(
        given, fhir_url="https://x/fhir", is_strict=is_strict, now=NOW, zone=STOCKHOLM, years=10
    )


# Expected intervals worked by hand. Stockholm is at +01:00 in winter and +02:00 in summer; in
# 2026 the clock goes forward on 29 March and back on 25 October (EU directive 2000/84/EC).
@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("2026", "2025-12-31T23:00Z", "2026-12-31T23:00Z"),
        ("2026-03", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
        ("2026-12", "2026-11-30T23:00Z", "2026-12-31T23:00Z"),
        ("eq2026-03-29", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),  # 23 hours long
        ("2026-10-25", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),  # 25 hours long
        ("2026-07-01T10:00", "2026-07-01T08:00Z", "2026-07-01T08:01Z"),
        ("2026-07-01T10:00:05", "2026-07-01T08:00:05Z", "2026-07-01T08:00:06Z"),
        ("2026-07-01T10:00:05Z", "2026-07-01T10:00:05Z", "2026-07-01T10:00:06Z"),
        ("2026-07-01T10:00:05.25Z", "2026-07-01T10:00:05.25Z", "2026-07-01T10:00:05.26Z"),
        ("2026-07-01T10:00:00-05:00", "2026-07-01T15:00Z", "2026-07-01T15:00:01Z"),
        ("2026-07-01T10:00:00 02:00", "2026-07-01T08:00Z", "2026-07-01T08:00:01Z"),
    ],
)
def test_a_date_is_the_interval_that_it_names(value: str, start: str, end: str) -> None:
    assert dates.matching(value, STOCKHOLM) == (
        (datetime.fromisoformat(start), datetime.fromisoformat(end)),
    )


@pytest.mark.parametrize(
    ("value", "inside", "outside"),
    [
        ("gt2026-03-01", ["2026-03-01T23:00Z"], ["2026-03-01T22:59:59Z"]),
        ("sa2026-03-01", ["2026-03-01T23:00Z"], ["2026-03-01T22:59:59Z"]),
        ("ge2026-03-01", ["2026-02-28T23:00Z"], ["2026-02-28T22:59:59Z"]),
        ("lt2026-03-01", ["2026-02-28T22:59:59Z"], ["2026-02-28T23:00Z"]),
        ("eb2026-03-01", ["2026-02-28T22:59:59Z"], ["2026-02-28T23:00Z"]),
        ("le2026-03-01", ["2026-03-01T22:59:59Z"], ["2026-03-01T23:00Z"]),
        ("ne2026-03-01", ["2026-02-28T22:59Z", "2026-03-01T23:00Z"], ["2026-03-01T12:00Z"]),
    ],
)
def test_prefixes(value: str, inside: list[str], outside: list[str]) -> None:
    intervals = dates.matching(value, STOCKHOLM)

    def is_in(text: str) -> bool:
        at = datetime.fromisoformat(text)
        return any(start <= at < end for start, end in intervals)

    assert all(is_in(text) for text in inside)
    assert not any(is_in(text) for text in outside)


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "ap2026", "2026-13", "2026-02-31", "20260301", "2026-03-01T25:00", "0000"],
)
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(BadRequestError):
        dates.matching(value, STOCKHOLM)


@pytest.mark.parametrize(
    "value", ["ge0001", "gt0001-01-01", "lt9999-12-31", "le9999-12-31T23:59:59-14:00", "le9999"]
)
def test_ever_may_be_said_by_the_calendars_ends(value: str) -> None:
    window = dates.window(NOW, STOCKHOLM, 10)

    assert dates.intersection((window,), dates.matching(value, STOCKHOLM)) == (window,)


def test_a_leap_second_is_the_next_minutes_first() -> None:
    assert dates.matching("2016-12-31T23:59:60Z", STOCKHOLM) == dates.matching(
        "2017-01-01T00:00:00Z", STOCKHOLM
    )


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_refused(value: str) -> None:
    try:
        intervals = dates.matching(value, STOCKHOLM)
    except BadRequestError:
        return
    assert all(start <= end for start, end in intervals)


@pytest.mark.parametrize(
    "value", [PATIENT, f"Patient/{PATIENT}", f"https://x/fhir/Patient/{PATIENT}"]
)
@pytest.mark.parametrize("name", ["patient", "subject", "patient:Patient"])
def test_every_way_to_name_a_patient(name: str, value: str) -> None:
    assert query((name, value)).search.patient_ids == (UUID(PATIENT),)


def test_alternatives_and_conjunctions() -> None:
    either = query(("patient", f"{PATIENT},{OTHER}")).search.patient_ids
    both = query(("patient", PATIENT), ("subject", OTHER)).search.patient_ids

    assert set(either or ()) == {UUID(PATIENT), UUID(OTHER)}
    assert both == ()


@pytest.mark.parametrize(
    "value", ["Device/" + PATIENT, "https://y/fhir/Patient/" + PATIENT, "12", "%", PATIENT.upper()]
)
def test_a_reference_to_nobody_matches_nobody(value: str) -> None:
    assert query(("patient", value)).search.patient_ids == ()


@pytest.mark.parametrize(
    ("token", "codes"),
    [
        ("85354-9", ("85354-9",)),
        ("http://loinc.org|8867-4", ("8867-4",)),
        ("2708-6", ("2708-6",)),
        ("8310-5", ("8310-5",)),
        ("http://loinc.org|29463-7", ("29463-7",)),
        # A continuous series carries these too, and is stored by its MDC code.
        ("59408-5", ("2708-6", "150456")),
        ("http://snomed.info/sct|431314004", ("2708-6", "150456")),
        ("urn:iso:std:iso:11073:10101|150020", ("85354-9",)),
        ("|85354-9", ()),
        ("http://loinc.org|1", ()),
    ],
)
def test_codes(token: str, codes: tuple[str, ...]) -> None:
    assert set(query(("code", token)).search.codes or ()) == set(codes)


@pytest.mark.parametrize("code", ["149530", "149546", "147842"])
def test_a_code_that_would_find_only_some_pulses_is_refused(code: str) -> None:
    with pytest.raises(BadRequestError, match="8867-4"):
        query(("code", f"urn:iso:std:iso:11073:10101|{code}"))


def test_a_system_finds_every_code_of_it() -> None:
    found = query(("code", "urn:iso:std:iso:11073:10101|")).search.codes

    assert {"85354-9", "8867-4", "2708-6"} <= set(found or ())


def test_another_category_matches_nothing() -> None:
    assert query(("category", "laboratory")).search.codes == ()
    assert query(("category", "vital-signs")).search.codes is None


def test_what_a_device_measured_is_asked_for_without_means() -> None:
    measured = query(("category", "phd")).search.codes

    assert measured is not None
    assert "85354-9" in measured
    assert "96607-7" not in measured


@pytest.mark.parametrize(
    "token", ["96607-7", "http://loinc.org|96607-7", "http://snomed.info/sct|723232008"]
)
def test_an_average_is_found_by_its_own_codings(token: str) -> None:
    assert query(("code", token)).search.codes == ("96607-7",)


def test_who_asks_for_blood_pressures_gets_no_means() -> None:
    assert query(("code", "http://loinc.org|85354-9")).search.codes == ("85354-9",)


def test_an_escaped_comma_is_no_alternative() -> None:
    assert query(("code", r"8867-4\,85354-9")).search.codes == ()


def test_without_dates_the_window_is_stated() -> None:
    found = query(("patient", PATIENT))

    # Ten years back to the end of tomorrow, both midnight in Stockholm's winter.
    assert found.search.within == (
        (datetime(2016, 11, 22, 23, tzinfo=UTC), datetime(2026, 11, 24, 23, tzinfo=UTC)),
    )
    assert ("date", "ge2016-11-23") in found.applied
    assert ("date", "lt2026-11-25") in found.applied


def test_what_was_applied_is_the_same_search() -> None:
    once = query(("patient", PATIENT), ("code", "8867-4"), ("_count", "7"), ("x", "y"))

    assert query(*once.applied) == once


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["patient", "code", "category", "date", "_id", "_count", "x", "_sort"]
            ),
            st.text(max_size=20),
        ),
        max_size=6,
    )
)
def test_any_parameters_are_a_search_or_refused(given_pairs: list[tuple[str, str]]) -> None:
    try:
        found = query(*given_pairs)
    except BadRequestError:
        return
    assert 0 <= found.count <= 1000
    assert len(found.search.within) <= 50


def test_a_cursor_brings_back_its_position() -> None:
    cursors = Cursors(b"secret")
    position = Position(
        applied=(("patient", PATIENT), ("_count", "2")),
        at=datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
        row_id=UUID(OTHER),
    )

    assert cursors.read(cursors.write(position)) == position
    with pytest.raises(BadRequestError):
        Cursors(b"another").read(cursors.write(position))


# SMART App Launch 2.2, "Scopes for requesting FHIR resources".
@pytest.mark.parametrize(
    ("granted", "resource", "interaction", "is_allowed"),
    [
        ("system/Observation.rs", "Observation", "s", True),
        ("system/Observation.rs", "Observation", "r", True),
        ("system/Observation.r", "Observation", "s", False),
        ("system/Observation.read", "Observation", "s", True),
        ("system/Observation.write", "Observation", "r", False),
        ("system/*.cruds", "Patient", "r", True),
        ("system/Observation.*", "Observation", "r", True),
        ("system/Observation.rs", "Patient", "r", False),
        ("user/Observation.rs", "Observation", "r", False),
        ("system/Observation.rs?category=laboratory", "Observation", "s", False),
        ("system/Observation.sr", "Observation", "s", False),  # the order is c r u d s
        ("system/Observation.", "Observation", "r", False),
        ("openid system/Patient.r", "Patient", "r", True),
        ("", "Observation", "r", False),
    ],
)
def test_scopes(granted: str, resource: str, interaction: str, is_allowed: bool) -> None:
    assert scopes.allow(granted, resource, "s" if interaction == "s" else "r") is is_allowed
