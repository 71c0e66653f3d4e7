"""Settings, keys, tokens and what is told of requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clinician_api import keys, tokens
from clinician_api.errors import UnauthenticatedError
from clinician_api.keys import KeyFileError
from clinician_api.settings import SettingsError, load
from clinician_api.signin import challenge
from clinician_api.tokens import Bearer, TokenVerifier

NEEDED = {
    "HEMVITAL_API_DATABASE": "dbname=hemvital",
    "HEMVITAL_API_OIDC_ISSUER": "https://idp.example",
    "HEMVITAL_API_OIDC_CLIENT_SECRET": "secret",
}
NOW = datetime(2026, 11, 23, 9, 42, tzinfo=UTC)
URL = "https://hemvital.example"


def test_settings_have_defaults() -> None:
    settings = load(NEEDED)

    assert settings.timezone.key == "Europe/Stockholm"
    assert settings.demo is False


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (NEEDED | {"HEMVITAL_API_DATABSE": "x"}, "did you mean HEMVITAL_API_DATABASE?"),
        (NEEDED | {"HEMVITAL_API_PORT": "x"}, "HEMVITAL_API_PORT"),
        (NEEDED | {"HEMVITAL_API_TIMEZONE": "Mars/Olympus"}, "HEMVITAL_API_TIMEZONE"),
        ({}, "HEMVITAL_API_"),
    ],
)
def test_wrong_settings_are_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("?", r"\?")):
        load(environment)


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        load(NEEDED | {"HEMVITAL_API_POOL_SIZE": "hush-hush"})

    assert "hush-hush" not in str(refused.value)


def test_a_key_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    keys.create(path)

    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        keys.create(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="0600"):
        keys.load(path)


def test_secrets_differ_by_purpose_and_stay_the_same(tmp_path: Path) -> None:
    keys.create(tmp_path / "key.json")
    one, again = keys.load(tmp_path / "key.json"), keys.load(tmp_path / "key.json")

    assert one.secret("a") == again.secret("a")
    assert one.secret("a") != one.secret("b")


def test_a_token_that_held_once_still_expires(tmp_path: Path) -> None:
    keys.create(tmp_path / "key.json")
    loaded = keys.load(tmp_path / "key.json")
    now = NOW
    verifier = TokenVerifier(loaded, base_url=URL, clock=lambda: now)
    token = tokens.issue(
        loaded,
        client_id="ehr",
        scopes="system/Observation.rs",
        base_url=URL,
        now=NOW,
        lifetime=timedelta(minutes=5),
    )

    assert verifier.verify(token) == Bearer(client_id="ehr", scopes="system/Observation.rs")
    now = NOW + timedelta(minutes=5, seconds=29)  # within the leeway for clocks
    assert verifier.verify(token).client_id == "ehr"
    now = NOW + timedelta(minutes=5, seconds=31)
    with pytest.raises(UnauthenticatedError):
        verifier.verify(token)


@pytest.mark.parametrize("token", ["", "a.b.c", "a" * 5000, "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_is_refused(tmp_path: Path, token: str) -> None:
    keys.create(tmp_path / "key.json")
    verifier = TokenVerifier(keys.load(tmp_path / "key.json"), base_url=URL, clock=lambda: NOW)

    with pytest.raises(UnauthenticatedError):
        verifier.verify(token)


def test_the_code_challenge_is_rfc_7636s_own_example() -> None:
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
