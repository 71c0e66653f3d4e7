"""What of the settings for notifying is wrong stops the start, in one sentence that says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest_service.notifying import assembly
from ingest_service.settings import JobsSettings, SettingsError, load

GIVEN = {
    "JOBS_DATABASE": "dbname=a",
    "BROKER_AUTHORITY": "a",
    "BROKER_CERTIFICATE": "b",
    "BROKER_KEY": "c",
}


def settings(**more: str) -> JobsSettings:
    given = {f"HEMVITAL_INGEST_{name}": value for name, value in (GIVEN | more).items()}
    return load(JobsSettings, given)


def test_without_settings_there_are_webhooks_and_nothing_else() -> None:
    assert set(assembly.senders(settings())) == {"webhook"}


def test_a_mail_server_and_its_sender_are_mail() -> None:
    given = settings(SMTP_HOST="post.region.example", SMTP_FROM="hemvital@region.example")

    assert set(assembly.senders(given)) == {"webhook", "email"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"NOTIFICATION_NETWORKS": "10.0.0.0/8, 10.0.0.0/33"}, "NOTIFICATION_NETWORKS"),
        ({"NOTIFICATION_NETWORKS": "10.0.0.1/8"}, "NOTIFICATION_NETWORKS"),
        ({"SMTP_HOST": "post.example"}, "SMTP_FROM"),
        ({"SMTP_FROM": "Hemvital <h@x.example>"}, "SMTP_FROM"),
        ({"SMTP_SECURITY": "none"}, "SMTP_SECURITY"),
        ({"WORKLIST_URL": "javascript:alert(1)"}, "WORKLIST_URL"),
        ({"SMS_GATEWAY": "/nowhere/gateway.json"}, "SMS_GATEWAY"),
        ({"NOTIFICATION_AUTHORITY": "/nowhere/ca.pem"}, "NOTIFICATION_AUTHORITY"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=f"HEMVITAL_INGEST_{says}"):
        assembly.senders(settings(**more))


def test_an_authority_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing", encoding="ascii")

    with pytest.raises(SettingsError, match="NOTIFICATION_AUTHORITY cannot be used"):
        assembly.senders(settings(NOTIFICATION_AUTHORITY=str(file)))
