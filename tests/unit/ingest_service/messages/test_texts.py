"""What messages say: the words that the scenarios demand, and nothing about anybody's health."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ingest_service.messages import texts
from ingest_service.messages.message import AT_HOME, Kind, Priority
from ingest_service.wording import catalogue

CATALOGUES = catalogue.load()
LANGUAGES = sorted(CATALOGUES)

AT_HOME_KINDS = {
    Kind.REMEASURE_REQUEST,
    Kind.MEASURE_REMINDER,
    Kind.RED_OUT_OF_HOURS,
    Kind.RED_OUT_OF_HOURS_KIN,
    Kind.CHAIN_BROKEN,
    Kind.CHAIN_WHOLE,
}
STAFF_KINDS = set(Kind) - AT_HOME_KINDS

NUMBERS_ALLOWED = {"112", "1177"}
CLINICAL = re.compile(
    r"spo2|syre|satur|blodtryck|pressure|puls|hjärt|heart|lung|kol\b|copd|covid|mmhg|%|gräns|limit"
    r"|diagnos|värde|\bvalue|\brött?\b|\bred\b",
    re.IGNORECASE,
)


def test_a12_what_is_said_at_night_is_what_the_scenario_demands() -> None:
    said = texts.for_home(CATALOGUES["sv"], Kind.RED_OUT_OF_HOURS)

    # SCENARIOS A12, word for word.
    assert said.text == (
        "Din mottagning är stängd. Mät igen. Känner du dig sämre: ring 112, råd: 1177."
    )
    assert said.language == "sv"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(AT_HOME_KINDS))
def test_people_at_home_hear_nothing_clinical(language: str, kind: Kind) -> None:
    text = texts.for_home(CATALOGUES[language], kind).text

    assert set(re.findall(r"\d+", text)) <= NUMBERS_ALLOWED
    assert CLINICAL.search(text) is None
    assert "@" not in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(AT_HOME_KINDS - {Kind.CHAIN_WHOLE}))
def test_whoever_may_be_ill_is_told_whom_to_ring(language: str, kind: Kind) -> None:
    text = texts.for_home(CATALOGUES[language], kind).text

    assert {"112", "1177"} <= set(re.findall(r"\d+", text))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(STAFF_KINDS))
@pytest.mark.parametrize("priority", ["red", "yellow", "blue", None])
def test_staff_hear_of_an_alert_and_of_nobody(
    language: str, kind: Kind, priority: Priority | None
) -> None:
    notice = texts.for_staff(
        CATALOGUES[language], kind, priority=priority, reference="BKTMZR", link=None
    )

    for text in (notice.subject, notice.text):
        assert "BKTMZR" in text
        assert set(re.findall(r"\d+", text)) <= {"1", "2", "3"}
        assert CLINICAL.search(text) is None
        assert len(text) <= 160  # one SMS of GSM 03.38's seven bits


def test_a_red_alert_is_larm_1_with_the_worklist_behind_it() -> None:
    notice = texts.for_staff(
        CATALOGUES["sv"],
        Kind.STAFF_ALERT,
        priority="red",
        reference="BKTMZR",
        link="https://hemvital.example/worklist",
    )

    assert notice.subject == "Larm 1 i Hemvital (BKTMZR)"
    assert notice.text == (
        "Larm 1 i Hemvital (BKTMZR). Öppna arbetslistan. https://hemvital.example/worklist"
    )


def test_every_kind_has_words_for_somebody() -> None:
    for kind in Kind:
        if kind in AT_HOME_KINDS:
            assert texts.for_home(CATALOGUES["sv"], kind).text
        else:
            assert texts.for_staff(
                CATALOGUES["sv"], kind, priority="red", reference="B", link=None
            ).text
    assert len(AT_HOME) == 2


def test_no_kind_for_staff_has_words_for_people_at_home() -> None:
    with pytest.raises(KeyError):
        texts.for_home(CATALOGUES["sv"], Kind.STAFF_ALERT)


def test_a_reference_is_letters_that_follow_from_the_message() -> None:
    one = UUID("12345678-1234-5678-1234-567812345678")

    assert texts.reference_of(one) == texts.reference_of(one)
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{6}", texts.reference_of(one))
    assert len({texts.reference_of(uuid4()) for _ in range(1000)}) > 990


@pytest.fixture
def three_languages(tmp_path: Path) -> Path:
    """The shipped catalogues, and a begun one of a third language, with made-up words."""
    shipped = Path(catalogue.__file__).with_name("locale")
    for file in shipped.glob("*/LC_MESSAGES/messages.po"):
        copy = tmp_path / file.relative_to(shipped)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(file.read_bytes())
    begun = tmp_path / "fit" / "LC_MESSAGES" / "messages.po"
    begun.parent.mkdir(parents=True)
    begun.write_text(
        'msgid ""\n'
        'msgstr ""\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "We get your readings again. Measure as usual."\n'
        'msgstr "mIw pofit"\n\n'
        "#, fuzzy\n"
        'msgid "It is time to measure. If you feel worse: call 112, for advice 1177."\n'
        'msgstr "a guess"\n',
        encoding="utf-8",
    )
    return tmp_path


def test_b7_a_language_that_lacks_a_text_says_that_one_in_swedish(three_languages: Path) -> None:
    found = catalogue.load(three_languages)

    own = texts.for_home(found["fit"], Kind.CHAIN_WHOLE)
    lacking = texts.for_home(found["fit"], Kind.CHAIN_BROKEN)
    guessed = texts.for_home(found["fit"], Kind.MEASURE_REMINDER)

    assert (own.text, own.language) == ("mIw pofit", "fit")
    assert lacking == texts.for_home(CATALOGUES["sv"], Kind.CHAIN_BROKEN)
    assert guessed == texts.for_home(CATALOGUES["sv"], Kind.MEASURE_REMINDER)
    assert texts.for_home(found["en"], Kind.CHAIN_BROKEN).language == "en"
    assert found["fit"].locale == found["sv"].locale  # Meänkieli, which Unicode's data lack


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("sv", "sv"),
        ("sv-SE", "sv"),
        ("EN-gb", "en"),
        ("fit-Latn-SE", "fit"),
        ("fi", "sv"),
        ("", "sv"),
        (None, "sv"),
        ("-", "sv"),
        ("x" * 5000, "sv"),
    ],
)
def test_a_tag_finds_its_language_or_the_next_wider_one(
    three_languages: Path, tag: str | None, code: str
) -> None:
    assert catalogue.closest(catalogue.load(three_languages), tag).code == code
