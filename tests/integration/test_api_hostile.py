"""What attackers and broken clients send: clear refusals, and nothing of another unit."""

from __future__ import annotations

import socket
import string
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt

from clinician_api import keys
from deploy.local.services import Services
from tests.support.api import Api, running_api
from tests.support.clinic import BLOOD_PRESSURE, Clinic
from tests.support.services import Database, cloned

pytestmark = pytest.mark.timescale

_SCOPES: Final = "system/Observation.rs system/Patient.r system/Device.r"
_DAY: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class World:
    """A server, and two units with a patient and a system each."""

    def __init__(self, api: Api, clinic: Clinic) -> None:
        self.api = api
        self.clinic = clinic
        unit, other = clinic.unit(), clinic.unit("SE2321000016-E102", "Lungmottagningen")
        self.patient, self.stranger = clinic.patient(unit), clinic.patient(other)
        clinic.client("ehr", unit, scopes=_SCOPES)
        clinic.client("other", other, scopes=_SCOPES)
        self.own = {
            clinic.observation(unit, self.patient, _DAY + timedelta(days=day)) for day in range(3)
        }
        clinic.observation(other, self.stranger, _DAY)
        self.ehr = api.client(api.token("ehr"))

    def search(self, query: str, client: httpx.Client | None = None) -> httpx.Response:
        return (client or self.ehr).get(f"/Observation?{query}")

    def claims(self, **changed: object) -> dict[str, Any]:
        now = int(datetime.now(UTC).timestamp())
        standard = {
            "iss": self.api.url,
            "aud": f"{self.api.url}/fhir",
            "sub": "ehr",
            "scope": _SCOPES,
            "exp": now + 600,
        }
        return {**standard, **changed}

    def signed(self, claims: dict[str, Any]) -> str:
        key = keys.load(Path(self.api.environment["HEMVITAL_API_KEY_FILE"])).signing
        return jwt.encode({"alg": "ES256"}, claims, key)

    def raw(self, *lines: str) -> str:
        """Send these lines as they are; return the answer's head."""
        host, _, port = self.api.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer.partition(b"\r\n\r\n")[0].decode()


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


def ids(answer: httpx.Response) -> set[UUID]:
    return {UUID(entry["resource"]["id"]) for entry in answer.json().get("entry", [])}


def link(answer: httpx.Response, relation: str) -> str:
    return next(each["url"] for each in answer.json()["link"] if each["relation"] == relation)


@pytest.mark.parametrize(
    "changed",
    [
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"exp": "4000000000"},
        {"sub": "ehr\0"},
        {"sub": ["ehr"]},
        {"sub": 7},
        {"scope": [_SCOPES]},
        {"aud": "elsewhere"},
        {"iss": "elsewhere"},
    ],
)
def test_no_strange_claim_lets_anybody_in(world: World, changed: dict[str, object]) -> None:
    token = world.signed(world.claims(**changed))

    assert world.search(f"patient={world.patient}", world.api.client(token)).status_code == 401


def test_an_unsigned_token_is_refused(world: World) -> None:
    head, claims, _ = world.signed(world.claims()).split(".")
    none = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}

    for token in (f"{none}.{claims}.", f"{none}.{claims}.AA", f"{head}.{claims}."):
        assert world.search(f"patient={world.patient}", world.api.client(token)).status_code == 401


def test_two_authorizations_are_refused_whichever_is_right(world: World) -> None:
    right, wrong = ("Authorization", f"Bearer {world.api.token('ehr')}"), ("Authorization", "x")
    url = f"{world.api.url}/fhir/Observation?patient={world.patient}"

    for headers in ([right, wrong], [wrong, right], [right, right]):
        assert httpx.get(url, headers=headers).status_code == 401


def test_a_cursor_opens_nothing_for_another_client(world: World) -> None:
    url = link(world.search(f"patient={world.patient}&_count=1"), "next")

    answer = world.api.client(world.api.token("other")).get(url)

    assert answer.status_code == 200
    assert ids(answer) == set()


@pytest.mark.parametrize("added", ["patient=x", "code=8867-4", "date=2026", "_cursor=x"])
def test_a_cursor_stands_alone(world: World, added: str) -> None:
    url = link(world.search(f"patient={world.patient}&_count=1"), "next")

    assert world.ehr.get(f"{url}&{added}").status_code == 400
    assert world.ehr.get(f"{url}&_format=json").status_code == 200


@pytest.mark.parametrize(
    "reference",
    ["http://elsewhere.example/fhir/Patient/{id}", "x/Patient/{id}", "../Patient/{id}"],
)
def test_a_patient_of_another_server_is_nobody_here(world: World, reference: str) -> None:
    assert ids(world.search(f"patient={reference.format(id=world.patient)}")) == set()


def test_a_patient_by_this_servers_address_is_found(world: World) -> None:
    answer = world.search(f"patient={world.api.url}/fhir/Patient/{world.patient}")

    assert ids(answer) == world.own


@pytest.mark.parametrize("form", ["urn:uuid:{id}", "%7B{id}%7D", "{upper}", "{hex}", "{id}%00"])
def test_an_id_has_one_spelling(world: World, form: str) -> None:
    path = form.format(id=world.patient, upper=str(world.patient).upper(), hex=world.patient.hex)

    assert world.ehr.get(f"/Patient/{path}").status_code == 404


def test_no_host_header_ends_up_in_a_redirect(world: World) -> None:
    for path in ("/worklist/", "/fhir/Observation/", "//elsewhere.example/worklist"):
        head = world.raw(f"GET {path} HTTP/1.1", "Host: elsewhere.example")

        assert head.startswith("HTTP/1.1 404")
        assert "elsewhere" not in head


def test_a_method_cannot_be_smuggled(world: World) -> None:
    answer = world.ehr.get("/metadata", headers={"X-HTTP-Method-Override": "DELETE"})

    assert answer.status_code == 200
    assert world.ehr.request("TRACE", "/metadata").status_code == 405


@pytest.mark.parametrize("path", ["/fhir/metadata", "/fhir/Observation?patient={id}"])
def test_head_is_get_without_the_body(world: World, path: str) -> None:
    url = world.api.url + path.format(id=world.patient)

    got, head = world.ehr.get(url), world.ehr.head(url)

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


def test_only_a_file_of_known_content_is_kept(world: World) -> None:
    page = httpx.get(f"{world.api.url}/signed-out").text
    address = world.api.url + page.partition('rel="stylesheet" href="')[2].partition('"')[0]

    assert "immutable" in httpx.get(address).headers["Cache-Control"]
    assert httpx.get(f"{address}0").headers["Cache-Control"] == "no-store"
    assert httpx.get(f"{world.api.url}/static/none.css").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({}, b"patient=x", 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a" * 100_000, 413),
    ],
)
def test_a_form_of_the_wrong_kind_or_size(
    world: World, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = world.ehr.post("/Observation/_search", content=content, headers=headers)

    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_the_statement_too_is_json_or_nothing(world: World) -> None:
    answer = world.ehr.get("/metadata", headers={"Accept": "application/fhir+xml"})

    assert answer.status_code == 406


def test_strictness_may_come_in_a_header_of_its_own(world: World) -> None:
    headers = [("Prefer", "return=minimal"), ("Prefer", "Handling=strict")]

    answer = world.ehr.get(f"/Observation?patient={world.patient}&colour=red", headers=headers)

    assert answer.status_code == 400


_NAMES: Final = st.sampled_from(
    [
        *("patient", "subject", "code", "category", "date", "_id", "_sort", "_count", "_format"),
        *("_cursor", "patient:Patient", "date:not", "status", "\0", "_has:a:b"),
    ]
)
_PIECES: Final = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=string.punctuation + string.digits + "geltnapsbTZ", max_size=30),
    st.sampled_from(["eq2026-03-01", "ge0001-01-01", "lt9999-12-31", "2026-03-01T12:00:60Z"]),
    st.sampled_from([BLOOD_PRESSURE, "http://loinc.org|", "'; DROP TABLE patient; --", "%00"]),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given_pairs=st.lists(st.tuples(_NAMES, _PIECES), max_size=5), is_whose=st.booleans())
def test_whatever_is_asked_no_error_of_ours_and_nothing_of_theirs(
    world: World, given_pairs: Sequence[tuple[str, str]], is_whose: bool
) -> None:
    pairs = [*given_pairs, *([("patient", str(world.stranger))] if is_whose else [])]
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)

    answer = world.search(query)

    assert answer.status_code in {200, 400, 406}, answer.text
    if answer.status_code == 200:
        assert ids(answer) <= world.own
