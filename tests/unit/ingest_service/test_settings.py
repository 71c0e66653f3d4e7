"""A setting that is unknown, missing or wrong stops the start with one sentence."""

from __future__ import annotations

import pytest

from ingest_service.settings import OwnerSettings, ReaderSettings, SettingsError, load


def test_every_command_accepts_the_variables_of_the_others() -> None:
    settings = load(
        ReaderSettings,
        {"HEMVITAL_INGEST_DATABASE": "dbname=a", "HEMVITAL_INGEST_BROKER_PORT": "1883"},
    )

    assert settings.database == "dbname=a"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HEMVITAL_INGEST_OWNER_DATABSE", "; did you mean HEMVITAL_INGEST_OWNER_DATABASE?"),
        ("HEMVITAL_INGEST_ZZZ", ""),
    ],
)
def test_an_unknown_name_is_told(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as stopped:
        load(OwnerSettings, {name: "x"})

    assert str(stopped.value).startswith(f"Unknown setting {name}{hint}")


def test_another_services_variables_are_none_of_our_business() -> None:
    given = {"HEMVITAL_API_DATABSE": "x", "HEMVITAL_INGEST_OWNER_DATABASE": "dbname=a"}

    assert load(OwnerSettings, given).owner_database == "dbname=a"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "The setting HEMVITAL_INGEST_OWNER_DATABASE is missing."),
        ("loud", "The setting HEMVITAL_INGEST_LOG_LEVEL is wrong: "),
    ],
)
def test_what_is_missing_or_wrong_is_named(value: str | None, told: str) -> None:
    given = {"HEMVITAL_INGEST_LOG_LEVEL": value, "HEMVITAL_INGEST_OWNER_DATABASE": "dbname=a"}

    with pytest.raises(SettingsError) as stopped:
        load(OwnerSettings, {k: v for k, v in given.items() if v} if value else {})

    assert str(stopped.value).startswith(told)
