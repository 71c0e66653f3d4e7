"""Settings of enrolment: misspelt, missing and half ones stop the start."""

from __future__ import annotations

import pytest

from clinician_api.enrolment.settings import (
    DatabaseSettings,
    PublishingSettings,
    RunSettings,
    load,
)
from clinician_api.settings import SettingsError

PREFIX = "HEMVITAL_ENROLMENT_"
NEEDED = {f"{PREFIX}DATABASE": "dbname=x", f"{PREFIX}BROKER_HOST": "broker.example"}


def test_what_the_documentation_says_holds_without_more() -> None:
    settings = load(RunSettings, NEEDED)

    assert (settings.validity_days, settings.grace_days, settings.broker_port) == (90, 180, 8883)
    assert (settings.host, settings.port, settings.tls_key) == ("127.0.0.1", 8010, None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({**NEEDED, f"{PREFIX}GRACE_DAY": "3"}, f"did you mean {PREFIX}GRACE_DAYS"),
        ({f"{PREFIX}DATABASE": "x"}, f"{PREFIX}BROKER_HOST"),
        ({**NEEDED, f"{PREFIX}VALIDITY_DAYS": "0"}, f"{PREFIX}VALIDITY_DAYS"),
        ({**NEEDED, f"{PREFIX}BROKER_HOST": "a b"}, f"{PREFIX}BROKER_HOST"),
        ({**NEEDED, f"{PREFIX}TLS_KEY": "k"}, "come together"),
    ],
)
def test_what_does_not_hold_is_named(given: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(RunSettings, given)


def test_a_command_takes_no_offence_at_what_another_needs() -> None:
    both = {**NEEDED, f"{PREFIX}REVOCATIONS_DIRECTORY": "/x", "HEMVITAL_API_PORT": "1"}

    assert load(DatabaseSettings, both).database.get_secret_value() == "dbname=x"
    with pytest.raises(SettingsError, match=f"{PREFIX}REVOCATIONS_DATABASE"):
        load(PublishingSettings, both)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(load(RunSettings, {**NEEDED, f"{PREFIX}DATABASE": "secret"}))
