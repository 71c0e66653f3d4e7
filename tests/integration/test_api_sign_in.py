"""Sign-in against a provider that enforces PKCE, and one that goes wrong; attacked sessions."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from deploy.local.services import Services
from tests.support.api import Api, LoopbackCookies, running_api, strict_provider
from tests.support.clinic import Clinic
from tests.support.services import Database, cloned

pytestmark = pytest.mark.timescale

_SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def shared(services: Services, migrated_template: Database) -> Generator[Database]:
    with cloned(services, migrated_template.name) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, shared: Database) -> Generator[Api]:
    unit = Clinic(shared.dsn()).unit()
    folder = tmp_path_factory.mktemp("api")
    with (
        strict_provider(unit.hsa_id) as issuer,
        running_api(folder, dsn=shared.dsn("hemvital_api"), issuer=issuer) as started,
    ):
        yield started


@pytest.fixture
def database(shared: Database) -> Database:
    with psycopg.connect(shared.dsn()) as connection:
        connection.execute("DELETE FROM web_session")
    return shared


@pytest.fixture
def api(serving: Api) -> Api:
    misbehave(serving, "")
    return serving


@contextmanager
def browser(api: Api) -> Generator[httpx.Client]:
    """Open a browser that follows no redirect by itself."""
    with httpx.Client(base_url=api.url, transport=LoopbackCookies(), timeout=10) as client:
        yield client


def departed(client: httpx.Client) -> str:
    """Begin a sign-in, and return the address that the provider sends the browser back to."""
    authorize = client.get("/sign-in").headers["Location"]
    return client.get(authorize).headers["Location"]


def misbehave(api: Api, fault: str) -> None:
    issuer = api.environment["HEMVITAL_API_OIDC_ISSUER"]
    assert httpx.get(f"{issuer}/misbehave", params={"as": fault}).status_code == 200


def sessions(database: Database) -> int:
    with psycopg.connect(database.dsn()) as connection:
        row = connection.execute("SELECT count(*) FROM web_session").fetchone()
    return int(row[0]) if row else 0


def test_a_provider_that_enforces_pkce_lets_her_in(api: Api) -> None:
    with browser(api) as client:
        answer = client.get(departed(client))

        assert answer.status_code == 303
        assert answer.headers["Location"] == "/"
        assert client.get("/worklist").status_code == 200


def test_what_is_asked_of_the_provider(api: Api) -> None:
    with browser(api) as client:
        first, second = (
            parse_qs(urlsplit(client.get("/sign-in").headers["Location"]).query) for _ in range(2)
        )

    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == [f"{api.url}/sign-in/done"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 32
        assert first[name] != second[name]


@pytest.mark.parametrize(
    "fault",
    ["nonce", "audience", "issuer", "expired", "claims", "parties", "key", "unsigned"],
)
def test_an_answer_that_does_not_hold_signs_nobody_in(
    api: Api, database: Database, fault: str
) -> None:
    misbehave(api, fault)

    with browser(api) as client:
        answer = client.get(departed(client))

        assert answer.status_code == 502
        assert "Traceback" not in answer.text
        assert client.get("/worklist/rows").status_code == 401
    assert sessions(database) == 0


def test_a_callback_is_good_once(api: Api, database: Database) -> None:
    with browser(api) as client:
        callback = departed(client)
        assert client.get(callback).status_code == 303

        assert client.get(callback).status_code == 400
    assert sessions(database) == 1


def test_a_stolen_code_is_worth_nothing_in_another_browser(api: Api, database: Database) -> None:
    with browser(api) as victim, browser(api) as thief:
        stolen = departed(victim)
        own = parse_qs(urlsplit(departed(thief)).query)
        code = parse_qs(urlsplit(stolen).query)["code"][0]

        # The victim's address as it is: not this browser's state.
        assert thief.get(stolen).status_code == 400
        # The victim's code under the thief's state: the verifier is another's.
        mixed = thief.get("/sign-in/done", params={"code": code, "state": own["state"][0]})
        assert mixed.status_code == 502
    assert sessions(database) == 0


def test_a_planted_cookie_becomes_nobodys_session(api: Api, database: Database) -> None:
    planted = {"Cookie": "__Host-hemvital=planted"}
    with browser(api) as client:
        callback = departed(client)
        pending = client.cookies["__Host-hemvital-sign-in"]
    cookies = f"__Host-hemvital=planted; __Host-hemvital-sign-in={pending}"

    answer = httpx.get(callback, headers={"Cookie": cookies})

    assert answer.status_code == 303
    assert "__Host-hemvital=planted" not in str(answer.headers)
    assert httpx.get(f"{api.url}/worklist/rows", headers=planted).status_code == 401


def test_signing_in_again_ends_the_session_before(api: Api, database: Database) -> None:
    with browser(api) as client:
        client.get(departed(client))
        client.get(departed(client))

        assert client.get("/worklist/rows").status_code == 200
    assert sessions(database) == 1


def test_no_address_can_be_slipped_in(api: Api) -> None:
    with browser(api) as client:
        location = client.get("/sign-in?next=//elsewhere.example&redirect_uri=x").headers[
            "Location"
        ]
        assert "elsewhere" not in location
        callback = departed(client)

        answer = client.get(f"{callback}&next=//elsewhere.example")

        assert answer.headers["Location"] == "/"


@pytest.mark.parametrize("path", ["/sign-out", "/language"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_no_form_of_another_site_does_anything(
    api: Api, path: str, headers: dict[str, str]
) -> None:
    answer = httpx.post(f"{api.url}{path}", headers=headers, data={"code": "en"})

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_get_changes_nothing(api: Api) -> None:
    for path in ("/sign-out", "/language"):
        assert httpx.get(f"{api.url}{path}?code=en").status_code == 405


def test_a_page_that_refreshes_itself_without_scripts_keeps_nobody_signed_in(
    api: Api, database: Database
) -> None:
    with browser(api) as client:
        client.get(departed(client))
        page = client.get("/worklist").text
        address = page.partition('http-equiv="refresh" content="60; url=')[2].partition('"')[0]
        with psycopg.connect(database.dsn()) as connection:
            connection.execute("UPDATE web_session SET seen_at = seen_at - interval '29 min'")
        assert client.get(address).status_code == 200
        with psycopg.connect(database.dsn()) as connection:
            connection.execute("UPDATE web_session SET seen_at = seen_at - interval '2 min'")

        assert client.get(address).headers["Location"] == "/sign-in"


def test_a6_what_she_had_taken_is_nobodys_again_when_she_signs_out(
    api: Api, database: Database
) -> None:
    clinic = Clinic(database.dsn())
    unit = clinic.unit("SE2321000016-E1A6")
    alert_id = clinic.alert(unit, clinic.patient(unit), datetime.now(UTC))
    with browser(api) as client:
        client.get(departed(client))
        with psycopg.connect(database.dsn()) as connection:
            connection.execute(
                "UPDATE alert SET state = 'taken', owner = (SELECT hsa_id FROM web_session)"
            )

        left = client.post("/sign-out", headers=_SAME_SITE)

    assert left.status_code == 303
    with psycopg.connect(database.dsn()) as connection:
        row = connection.execute(
            "SELECT a.state, a.owner, e.event, e.detail ->> 'reason'"
            "  FROM alert a JOIN alert_event e ON e.alert_id = a.id WHERE a.id = %s",
            [alert_id],
        ).fetchone()
    assert row == ("new", None, "unassigned", "signed_out")
