"""What a nurse reads of every kind of rule, in both languages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from ingest_service.alerts.alert import Evidence, Facts
from ingest_service.plans.limits import Level, Limits, Measure
from ingest_service.wording import catalogue, sentences

STOCKHOLM = ZoneInfo("Europe/Stockholm")
CATALOGUES = catalogue.load()
AT = datetime.fromisoformat("2026-11-20T07:30:00+01:00")
SPO2 = {Measure.SPO2: Limits(red_low=Decimal(88), yellow_low=Decimal(90))}


def used(minute: int, value: str, level: Level = Level.RED) -> Evidence:
    return Evidence(
        observation_id=UUID(int=minute),
        code="59408-5",
        effective_at=AT + timedelta(minutes=minute),
        value=Decimal(value),
        unit="%",
        level=level,
    )


@pytest.mark.parametrize(
    ("rule", "facts", "readings", "swedish", "english"),
    [
        (
            "limit.spo2",
            Facts(usual_low=Decimal(90), usual_high=Decimal(93)),
            [used(0, "86"), used(8, "87")],
            (
                "Syremättnad 86 och 87 % med 8 minuters mellanrum, under patientens gräns 88 %. "
                "Vanligen 90\N{EN DASH}93 %."
            ),
            (
                "Oxygen saturation 86 and 87 % 8 minutes apart, below the patient's limit 88 %. "
                "Usual 90-93 %."
            ),
        ),
        (
            "limit.spo2",
            Facts(is_unconfirmed=True, is_without_remeasurement=True),
            [used(0, "86")],
            (
                "Syremättnad 86 %, under patientens gräns 88 %. "
                "Ombedd att mäta igen, ingen ommätning."
            ),
            (
                "Oxygen saturation 86 %, below the patient's limit 88 %. "
                "Asked to measure again, and did not."
            ),
        ),
        (
            "sustained.low-days",
            Facts(count=3, of=5, unit="days", measure=Measure.SPO2, limit=Decimal(90)),
            [used(0, "89")],
            "Syremättnad under 90 % 3 av de senaste 5 dagarna, senast 89 %.",
            "Oxygen saturation below 90 % on 3 of the last 5 days, last 89 %.",
        ),
        (
            "baseline.below-usual",
            Facts(
                count=2,
                measure=Measure.SPO2,
                difference=Decimal(4),
                usual_low=Decimal(92),
                usual_high=Decimal(95),
            ),
            [used(0, "88")],
            "Syremättnad 88 %, 4 % från patientens vanliga 92\N{EN DASH}95 %, 2 mätningar i rad.",
            "Oxygen saturation 88 %, 4 % from the patient's usual 92-95 %, 2 readings in a row.",
        ),
        (
            "change.weight-gain",
            Facts(measure=Measure.BODY_WEIGHT, difference=Decimal("2.3"), days=3),
            [used(0, "81.0"), used(9, "83.3")],
            "Vikt steg med 2,3 kg inom 3 dagar, till 83,3 kg.",
            "Weight rose by 2.3 kg within 3 days, to 83.3 kg.",
        ),
        (
            "symptom.breathless",
            Facts(question="breathlessness", answer="7"),
            [],
            "Patienten svarade 7 på frågan breathlessness.",
            "The patient answered 7 to the question breathlessness.",
        ),
        (
            "missed",
            Facts(count=2, of=3, since=AT),
            [],
            "Ingen mätning vid 2 av de senaste 3 mättillfällena, det första 20 nov. 07:30.",
            "No reading in 2 of the last 3 times to measure, the first on 20 Nov 07:30.",
        ),
        (
            "silence",
            Facts(since=AT, cause="trend"),
            [],
            "Inget mätt sedan 20 nov. 07:30, och de sista värdena var oroande: ring.",
            "Nothing measured since 20 Nov 07:30, and the last values were worrying: call.",
        ),
        (
            "unmonitored",
            Facts(since=AT),
            [],
            "Övervakas inte sedan 20 nov. 07:30: mätningar skulle inte nå oss. Ring patienten.",
            "Not monitored since 20 Nov 07:30: readings would not reach us. Call the patient.",
        ),
        (
            "reconnect",
            Facts(count=9, since=AT),
            [used(0, "84"), used(360, "89", Level.YELLOW)],
            (
                "9 mätningar kom sent, den äldsta från 20 nov. 07:30. "
                "Sämst: 84 % (20 nov. 07:30). "
                "Nyast: 89 % (20 nov. 13:30)."
            ),
            (
                "9 readings came late, the oldest of 20 Nov 07:30. Worst: 84 % (20 Nov 07:30). "
                "Newest: 89 % (20 Nov 13:30)."
            ),
        ),
        (
            "outage",
            Facts(since=AT),
            [],
            (
                "Många patienters mätningar har inte nått oss sedan 20 nov. 07:30: "
                "följ reservrutinen."
            ),
            (
                "Readings of many patients have not reached us since 20 Nov 07:30: "
                "follow the routine "
                "for outages."
            ),
        ),
    ],
)
def test_sentences_of_rules(
    rule: str, facts: Facts, readings: Sequence[Evidence], swedish: str, english: str
) -> None:
    def said(language: str) -> str:
        text = sentences.sentence(
            CATALOGUES[language], rule, SPO2, readings, facts, zone=STOCKHOLM
        )
        return text.replace("\N{NO-BREAK SPACE}", " ")

    assert said("sv") == swedish
    assert said("en") == english
