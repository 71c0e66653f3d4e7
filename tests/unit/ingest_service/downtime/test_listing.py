"""Whom to phone first, and what a sheet of paper may say of a protected identity."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ingest_service.downtime import files, sheet
from ingest_service.downtime.files import SheetError, Written
from ingest_service.downtime.listing import (
    Limit,
    Listed,
    Risk,
    Sheet,
    Value,
    in_order,
    key_of,
    masked,
)
from ingest_service.store.downtime import Unit

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
STOCKHOLM = ZoneInfo("Europe/Stockholm")
UNIT = Unit(UUID(int=7), "SE2321000016-1003", "Hjärtmottagningen")
NUMBER = "19610118-2803"  # published test identity (Skatteverket)


def spo2(value: str, ago: timedelta) -> Value:
    return Value(code="59408-5", measured_at=NOW - ago, value=Decimal(value))


def patient(name: str = "Testsson, Greta", **given: object) -> Listed:
    plain: dict[str, object] = {
        "id": "9b1e0000-0000-4000-8000-000000000000",
        "name": name,
        "number": NUMBER,
        "phone": None,
        "is_protected": False,
        "programme": None,
        "risk": Risk.UNKNOWN,
        "alert": None,
        "alert_since": None,
        "values": (),
        "limits": (),
        "instruction": None,
    }
    return msgspec.convert(plain | given, Listed)


class _Reader(HTMLParser):
    """Everything that a page shows, and everything that it would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag in {"script", "link", "img", "iframe", "object", "base"}:
            self.fetched.append(tag)
        self.fetched += [f"{name}={text}" for name, text in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_red_comes_first_then_yellow_then_the_plans_risk_then_who_was_unseen_longest() -> None:
    hour, day = timedelta(hours=1), timedelta(days=1)
    given = [
        patient("recent", values=(spo2("95", hour),)),
        patient("low risk", risk=Risk.LOW, values=(spo2("95", 9 * day),)),
        patient("unseen for long", values=(spo2("95", 3 * day),)),
        patient("never seen"),
        patient("high risk", risk=Risk.HIGH, values=(spo2("95", hour),)),
        patient("yellow", alert="yellow", risk=Risk.LOW, values=(spo2("89", hour),)),
        patient("red", alert="red", risk=Risk.LOW, values=(spo2("84", hour),)),
        patient("red, high risk", alert="red", risk=Risk.HIGH, values=(spo2("84", hour),)),
    ]

    names = [each.name for each in in_order(reversed(given))]

    assert names == [
        *("red, high risk", "red", "yellow", "high risk"),
        *("never seen", "unseen for long", "recent", "low risk"),
    ]


def test_the_page_says_what_is_needed_to_phone_and_fetches_nothing() -> None:
    one = patient(
        programme="KOL",
        alert="red",
        alert_since=NOW - timedelta(minutes=20),
        values=(
            spo2("86", timedelta(minutes=20)),
            Value(
                code="85354-9",
                measured_at=NOW - timedelta(days=3),
                systolic=Decimal("131.5"),
                diastolic=Decimal(82),
            ),
        ),
        limits=(Limit(measure="spo2", red_low=Decimal(88), yellow_low=Decimal(90)),),
    )
    other = patient("<b>&", phone="070-174 06 05", instruction="Ring; kommer hem till er.")

    page = sheet.page(
        Sheet(unit="Hjärt<mottagningen", written_at=NOW, patients=(one, other)), STOCKHOLM
    )

    read = _Reader(page)
    _, first, second = ([" ".join(cell.split()) for cell in row] for row in read.rows)
    assert first[:6] == [
        "1",
        f"Testsson, Greta{NUMBER} KOL RÖD sedan 2026-11-25 08:40",
        "uppgift saknas",
        "SpO2 86 %, 2026-11-25 08:40 (20 min) Blodtryck 131,5/82 mmHg, 2026-11-22 09:00 (3 dygn)",
        "SpO2: röd under 88, gul under 90",
        "uppgift saknas",
    ]
    assert second[1].startswith("<b>&")
    assert second[2:6] == [
        "070-174 06 05",
        "inga värden det senaste året",
        "inga gränser: övervakas inte",
        "Ring; kommer hem till er.",
    ]
    assert read.fetched == []
    assert "size: A4" in page
    assert "Läget 2026-11-25 09:00" in page
    assert "Hjärt&lt;mottagningen" in page


def test_a_protected_identity_keeps_its_place_and_loses_its_name() -> None:
    hidden = patient("Testberg, Arne", is_protected=True, phone="070-174 06 05", alert="red")

    shown = masked(hidden)
    page = sheet.page(Sheet(unit="U", written_at=NOW, patients=(shown,)), STOCKHOLM)
    (key,) = key_of([hidden, patient()])

    assert (shown.name, shown.number, shown.phone) == ("Skyddad identitet", "Nr 9B1E0000", None)
    assert shown.alert == "red"
    assert "Testberg" not in page
    assert NUMBER not in page
    assert "070-174" not in page
    assert "se arket över skyddade identiteter" in page
    assert (key.id, key.name, key.number) == ("9B1E0000", "Testberg, Arne", NUMBER)
    assert masked(patient()) == patient()


def write(directory: Path, now: datetime, *patients: Listed) -> None:
    files.check(directory)
    new = files.begin(directory, now)
    files.write_unit(new, UNIT, patients, now=now, zone=STOCKHOLM)
    files.finish(directory, new, Written(written_at=now, units=1, patients=len(patients)))


def test_files_are_their_owners_alone_and_the_list_before_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "downtime"
    times = [NOW + n * timedelta(minutes=15) for n in range(4)]
    for n, at in enumerate(times):
        write(place, at, patient(f"at {n}"), patient("hidden", is_protected=True))

    shown = (place / "current" / "SE2321000016-1003.json").read_text()
    assert "at 3" in shown
    assert "hidden" not in shown
    assert "at 2" in (place / "previous" / "SE2321000016-1003.html").read_text()
    assert "hidden" in (place / "current" / "SE2321000016-1003-protected.html").read_text()
    assert files.last(place) == Written(written_at=times[-1], units=1, patients=2)
    modes = {stat.S_IMODE(each.lstat().st_mode) for each in place.rglob("*") if each.is_file()} | {
        stat.S_IMODE(place.stat().st_mode)
    }
    assert modes == {0o600, 0o700}
    assert len([each for each in place.iterdir() if each.is_dir() and not each.is_symlink()]) == 2


def test_one_that_is_broken_off_leaves_the_list_that_was_there(tmp_path: Path) -> None:
    place = tmp_path / "downtime"
    write(place, NOW, patient("whole"))
    new = files.begin(place, NOW + timedelta(minutes=15))
    files.write_unit(new, UNIT, [patient("half")], now=NOW, zone=STOCKHOLM)

    assert "whole" in (place / "current" / "SE2321000016-1003.html").read_text()
    write(place, NOW + timedelta(minutes=30), patient("next"))
    assert "next" in (place / "current" / "SE2321000016-1003.html").read_text()
    assert not new.exists()


def test_a_directory_that_others_can_look_into_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "downtime"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)

    with pytest.raises(SheetError, match=f"chmod 700 {open_to_all}"):
        files.check(open_to_all)

    assert list(open_to_all.iterdir()) == []


def test_a_units_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    place = tmp_path / "downtime"
    files.check(place)
    new = files.begin(place, NOW)
    files.write_unit(
        new, Unit(UUID(int=1), "../../x/é", "U"), [patient()], now=NOW, zone=STOCKHOLM
    )

    assert sorted(each.name for each in new.iterdir()) == ["______x__.html", "______x__.json"]
