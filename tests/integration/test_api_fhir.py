"""FHIR search and read through the real server and database."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest

from clinician_api import keys
from deploy.local.services import Services
from tests.support.api import Api, running_api
from tests.support.clinic import BLOOD_PRESSURE, PULSE, SPO2, Clinic
from tests.support.services import Database, cloned

pytestmark = pytest.mark.timescale

_SCOPES: Final = "system/Observation.rs system/Patient.r system/Device.r"
_DAY: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class World:
    """A server with a registered system, two units and one patient's week of readings."""

    def __init__(self, api: Api, clinic: Clinic) -> None:
        self.api = api
        self.clinic = clinic
        self.unit = clinic.unit()
        self.other_unit = clinic.unit("SE2321000016-E102", "Lungmottagningen")
        self.patient = clinic.patient(self.unit, number="195009072553")
        self.stranger = clinic.patient(self.other_unit)
        clinic.client("ehr", self.unit, scopes=_SCOPES)
        clinic.client("narrow", self.unit, scopes="system/Observation.r")
        self.pressures = [
            clinic.observation(self.unit, self.patient, _DAY + timedelta(days=day))
            for day in range(7)
        ]
        self.pulse = clinic.observation(self.unit, self.patient, _DAY, code=PULSE, values=(70,))
        self.spo2 = clinic.observation(self.unit, self.patient, _DAY, code=SPO2, values=(97,))
        self.strange = clinic.observation(self.other_unit, self.stranger, _DAY)

    def ehr(self) -> httpx.Client:
        return self.api.client(self.api.token("ehr"))

    def ids(self, **parameters: str) -> list[str]:
        """Return the ids that a search for this patient finds, in its order."""
        answer = self.ehr().get(
            "/Observation", params={"patient": str(self.patient), **parameters}
        )
        assert answer.status_code == 200, answer.text
        return ids(answer.json())


def ids(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)


def named(*observations: UUID) -> list[str]:
    return [str(each) for each in observations]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, services: Services, migrated_template: Database
) -> Generator[World]:
    folder = tmp_path_factory.mktemp("api")
    with (
        cloned(services, migrated_template.name) as database,
        running_api(folder, dsn=database.dsn("hemvital_api")) as api,
    ):
        yield World(api, Clinic(database.dsn()))


def test_newest_first_unless_asked_otherwise(world: World) -> None:
    assert world.ids(code=BLOOD_PRESSURE) == named(*reversed(world.pressures))
    assert world.ids(code=BLOOD_PRESSURE, _sort="date") == named(*world.pressures)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"http://loinc.org|{PULSE}", ["pulse"]),
        (f"{PULSE},{SPO2}", ["pulse", "spo2"]),
        ("59408-5", ["spo2"]),  # the second LOINC code of the same resource
        ("urn:iso:std:iso:11073:10101|150456", ["spo2"]),
        (f"http://snomed.info/sct|{PULSE}", []),
        (f"|{PULSE}", []),  # a code without a system: ours all have one
    ],
)
def test_code_as_token(world: World, code: str, expected: list[str]) -> None:
    assert sorted(world.ids(code=code)) == sorted(str(getattr(world, name)) for name in expected)


@pytest.mark.parametrize(
    ("date", "days"),
    [
        ("2026-03-02", [1]),
        ("eq2026-03-02", [1]),
        ("ge2026-03-06", [5, 6]),
        ("gt2026-03-06", [6]),
        ("sa2026-03-06", [6]),
        ("lt2026-03-02", [0]),
        ("eb2026-03-02", [0]),
        ("le2026-03-02", [0, 1]),
        ("2026-03", [0, 1, 2, 3, 4, 5, 6]),
        ("2025", []),
        ("2026-03-01T12:00:00Z", [0]),
        ("2026-03-01T13:00:00", [0]),  # Stockholm is an hour ahead in winter
        ("gt2026-03-07T12:00:00+00:00", []),
        ("ge2026-03-07T12:00:00.000Z", [6]),
        ("2026-03-01,2026-03-03", [0, 2]),
    ],
)
def test_dates(world: World, date: str, days: list[int]) -> None:
    found = world.ids(code=BLOOD_PRESSURE, date=date, _sort="date")

    assert found == named(*(world.pressures[day] for day in days))


def test_repeated_dates_all_hold(world: World) -> None:
    answer = world.ehr().get(
        "/Observation",
        params=[
            ("subject", f"Patient/{world.patient}"),
            ("code", BLOOD_PRESSURE),
            ("date", "ge2026-03-02"),
            ("date", "lt2026-03-04"),
        ],
    )

    assert ids(answer.json()) == named(world.pressures[2], world.pressures[1])


def test_a_form_finds_the_same(world: World) -> None:
    answer = world.ehr().post(
        "/Observation/_search",
        data={"patient": f"Patient/{world.patient}", "code": BLOOD_PRESSURE},
    )

    assert ids(answer.json()) == world.ids(code=BLOOD_PRESSURE)


def test_pages_are_whole_and_stable_while_rows_arrive(world: World) -> None:
    patient = world.clinic.patient(world.unit)
    same_time = [world.clinic.observation(world.unit, patient, _DAY) for _ in range(7)]
    ehr, seen = world.ehr(), list[str]()

    url: str | None = f"{world.api.url}/fhir/Observation?patient={patient}&_count=3"
    while url is not None:
        bundle = ehr.get(url).json()
        seen += ids(bundle)
        url = link(bundle, "next")
        world.clinic.observation(world.unit, patient, _DAY + timedelta(days=1))

    assert sorted(seen) == sorted(named(*same_time))


def test_a_cursor_that_was_touched_is_refused(world: World) -> None:
    bundle = world.ehr().get(f"/Observation?patient={world.patient}&_count=1").json()
    url = link(bundle, "next")

    assert url is not None
    assert world.ehr().get(url[:-2] + "xx").status_code == 400


def test_count_zero_counts(world: World) -> None:
    bundle = world.ehr().get(f"/Observation?patient={world.patient}&_count=0").json()

    assert bundle["total"] == 9
    assert "entry" not in bundle


def test_self_tells_what_was_applied(world: World) -> None:
    bundle = world.ehr().get(f"/Observation?patient={world.patient}&colour=red&_count=5000").json()

    applied = httpx.URL(str(link(bundle, "self"))).params
    assert applied["_count"] == "1000"
    assert applied["_sort"] == "-date"
    assert "colour" not in applied
    assert [each[:2] for each in applied.get_list("date")] == ["ge", "lt"]


def test_strict_handling_refuses_the_unknown(world: World) -> None:
    answer = world.ehr().get(
        f"/Observation?patient={world.patient}&colour=red", headers={"Prefer": "handling=strict"}
    )

    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "colour=red",
        "_count=5",
        "patient=",
        "patient:identifier=195009072553",
        "patient.name=Femtio",
        "code:not=8867-4",
        "date=yesterday",
        "date=ap2026",
        "date=2026-02-31",
        "patient=00000000-0000-0000-0000-000000000000&_count=-1",
        "patient=%FF",
    ],
)
def test_nothing_unclear_widens_a_search(world: World, query: str) -> None:
    answer = world.ehr().get(f"/Observation?{query}")

    assert answer.status_code == 400
    assert answer.json()["issue"][0]["severity"] == "error"


def test_numbers_come_back_as_they_were_sent(world: World) -> None:
    text = '{"resourceType":"Observation","id":"%s","valueQuantity":{"value":37.20}}'
    observation = uuid4()
    patient = world.clinic.patient(world.unit)
    world.clinic.observation(
        world.unit, patient, _DAY, resource=text % observation, observation_id=observation
    )

    answer = world.ehr().get(f"/Observation?patient={patient}")

    assert '"value":37.20}' in answer.text
    assert json.loads(answer.text)["entry"][0]["search"] == {"mode": "match"}


def test_reads_one_and_knows_its_version(world: World) -> None:
    answer = world.ehr().get(f"/Observation/{world.pulse}")
    again = world.ehr().get(
        f"/Observation/{world.pulse}", headers={"If-None-Match": answer.headers["ETag"]}
    )

    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Last-Modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert again.status_code == 304
    assert again.content == b""


def test_another_units_record_is_like_one_that_is_not_there(world: World) -> None:
    ehr = world.ehr()

    theirs, nobodys = ehr.get(f"/Observation/{world.strange}"), ehr.get(f"/Observation/{uuid4()}")

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json()["issue"][0]["details"] == nobodys.json()["issue"][0]["details"]
    assert ids(ehr.get(f"/Observation?patient={world.stranger}").json()) == []
    assert ids(ehr.get(f"/Observation?_id={world.strange}").json()) == []
    assert ehr.get(f"/Patient/{world.stranger}").status_code == 404


def test_the_patient_that_is_referred_to_can_be_read(world: World) -> None:
    answer = world.ehr().get(f"/Patient/{world.patient}")

    assert answer.json()["id"] == str(world.patient)
    assert answer.headers["ETag"] == 'W/"1"'


def test_who_may_not(world: World, tmp_path: Path) -> None:
    api, path = world.api, f"/Observation?patient={world.patient}"
    keys.create(tmp_path / "other.json")
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    refused = {
        "none": None,
        "rubbish": "a.b.c",
        "expired": api.token("ehr", now=long_ago),
        "audience": api.token("ehr", base_url="https://elsewhere.example"),
        "key": api.token("ehr", key_file=tmp_path / "other.json"),
        "client": api.token("nobody"),
    }

    answers = {name: api.client(token).get(path) for name, token in refused.items()}

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
        refused, 401
    )
    assert all(answer.headers["WWW-Authenticate"] for answer in answers.values())
    assert all(answer.json()["resourceType"] == "OperationOutcome" for answer in answers.values())


def test_scopes_of_token_and_registration_both_count(world: World) -> None:
    api = world.api
    narrow_token = api.client(api.token("ehr", scopes="system/Observation.r"))
    narrow_client = api.client(api.token("narrow"))

    for client in (narrow_token, narrow_client):
        assert client.get(f"/Observation?patient={world.patient}").status_code == 403
        assert client.get(f"/Observation/{world.pulse}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Nonsense", 404),
        ("GET", "/Observation/not-an-id", 404),
        ("DELETE", "/Observation", 405),
        ("GET", "/Observation?patient=x&_format=xml", 406),
    ],
)
def test_every_error_is_an_outcome(world: World, method: str, path: str, status: int) -> None:
    answer = world.ehr().request(method, path)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_metadata_needs_no_token_and_names_every_parameter(world: World) -> None:
    statement = world.api.client(None).get("/metadata").json()

    observation = statement["rest"][0]["resource"][0]
    assert {each["name"] for each in observation["searchParam"]} == {
        *("patient", "subject", "code", "category", "date", "_id"),
    }
    assert statement["fhirVersion"] == "4.0.1"


def test_what_was_read_is_in_the_access_log(world: World) -> None:
    patient = world.clinic.patient(world.unit)
    world.clinic.observation(world.unit, patient, _DAY)

    trace = world.ehr().get(f"/Observation?patient={patient}").headers["X-Request-Id"]

    assert world.clinic.logged(trace) == [("ehr", "system", "search Observation", [patient])]


def test_logs_hold_no_query_and_no_id(world: World) -> None:
    world.ehr().get(f"/Observation?patient={world.patient}")
    world.ehr().get(f"/Patient/{world.patient}")

    log = world.api.log.read_text(encoding="utf-8")
    assert '"route": "/fhir/Patient/{patient_id}"' in log
    assert str(world.patient) not in log


def test_monitoring_is_on_its_own_port(world: World) -> None:
    assert "hemvital_api_requests_total" in httpx.get(f"{world.api.monitoring_url}/metrics").text
    assert httpx.get(f"{world.api.monitoring_url}/healthz").text == "ok\n"
    assert httpx.get(f"{world.api.url}/metrics").status_code == 404
