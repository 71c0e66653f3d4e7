"""A provider's template: what is refused at the start and not at two in the morning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest_service.notifying import sms
from ingest_service.notifying.sms import GatewayError

GOOD: dict[str, Any] = {
    "url": "https://sms.example.org/send",
    "encoding": "form",
    "from": "Hemvital",
    "fields": {"from": "{from}", "to": "{to}", "message": "{text}"},
    "authentication": {"type": "basic", "user": "u123", "secret": "sms"},
}
DOCUMENTED = Path(sms.__file__).parents[2] / "docs" / "reference" / "notifications.md"


def read(tmp_path: Path, content: str) -> sms.SmsGateway:
    file = tmp_path / "gateway.json"
    file.write_text(content, encoding="utf-8")
    return sms.read(file)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"url": "http://sms.example.org/"}, "$.url"),
        ({"url": 7}, "$.url"),
        ({"encoding": "xml"}, "$.encoding"),
        ({"method": "GET"}, "$.method"),
        ({"fields": {"to": "{to}"}}, "$.fields"),
        ({"fields": {"text": "{text}"}}, "$.fields"),
        ({"fields": {"to": ["{to}"], "text": "{text}"}}, "$.fields"),
        ({"authentication": {"type": "basic", "user": "u"}}, "$.authentication"),
        ({"authentication": {"type": "digest", "secret": "s"}}, "$.authentication"),
        ({"authentication": {"type": "bearer", "secret": "../etc/passwd"}}, "$.authentication"),
        ({"authentication": {"type": "header", "name": "X:\r\n", "secret": "s"}}, "name"),
        ({"success": []}, "$.success"),
        ({"success": [302]}, "$.success"),
        ({"timeout": 5}, "timeout"),
    ],
)
def test_a_wrong_template_is_refused_by_place(
    tmp_path: Path, changes: dict[str, Any], where: str
) -> None:
    with pytest.raises(GatewayError) as refused:
        read(tmp_path, json.dumps(GOOD | changes))

    assert where in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"url": "\\ud800"}'])
def test_what_is_no_template_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(GatewayError):
        read(tmp_path, content)


def test_a_file_that_is_not_there_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="cannot be read"):
        sms.read(tmp_path / "nothing.json")
    with pytest.raises(GatewayError, match="larger"):
        read(tmp_path, json.dumps(GOOD) + " " * 70_000)


def test_the_documented_providers_templates_can_be_read(tmp_path: Path) -> None:
    blocks = [
        block.partition("```")[0]
        for block in DOCUMENTED.read_text(encoding="utf-8").split("```json\n")[1:]
    ]
    templates = [block for block in blocks if '"authentication"' in block]

    found = [read(tmp_path, block) for block in templates]

    assert [one.encoding for one in found] == ["form", "json"]
