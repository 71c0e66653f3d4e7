"""What reaches apt: a channel of the region's signed repository, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.gateway.upgrade import UpgradeError, channel, sources

SOURCES = """Types: deb
URIs: https://packages.region.example/gateway
Suites: @channel@
Components: main
Signed-By: /etc/hemvital-gateway/repository.gpg
"""


@pytest.mark.parametrize(("written", "name"), [("early\n", "early"), ("stable-2", "stable-2")])
def test_the_channel_is_what_the_gateway_wrote(tmp_path: Path, written: str, name: str) -> None:
    (tmp_path / "channel").write_text(written)

    assert channel(tmp_path / "channel") == name


def test_a_gateway_that_was_told_nothing_follows_stable(tmp_path: Path) -> None:
    assert channel(tmp_path / "channel") == "stable"


@pytest.mark.parametrize(
    "written",
    [
        *("../early", "early main\nTypes: deb", "early [trusted=yes]", "Early", "", "x" * 40),
        *("\u00e9", "-o", "early\x00"),
    ],
)
def test_what_is_no_channel_is_refused(tmp_path: Path, written: str) -> None:
    (tmp_path / "channel").write_text(written, encoding="utf-8")

    with pytest.raises(UpgradeError, match="holds no channel's name"):
        channel(tmp_path / "channel")


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_file_of_the_gateways_is_neither_followed_nor_waited_for(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "secret").write_text("early")
    place = tmp_path / "channel"
    match kind:
        case "link":
            place.symlink_to(tmp_path / "secret")
        case "fifo":
            os.mkfifo(place)
        case _:
            place.mkdir()

    with pytest.raises(UpgradeError, match=r"holds no channel's name$"):
        channel(place)


def test_the_channel_becomes_the_suite() -> None:
    assert "\nSuites: early\n" in sources(SOURCES, "early")


@pytest.mark.parametrize(
    ("was", "is_now", "reason"),
    [
        ("@channel@", "stable", "has no @channel@"),
        ("Signed-By: /etc/hemvital-gateway/repository.gpg", "", "Signed-By is missing"),
        ("Components: main", "Components: main\nTrusted: yes", "would take unsigned packages"),
    ],
)
def test_a_repository_without_protection_is_refused(was: str, is_now: str, reason: str) -> None:
    with pytest.raises(UpgradeError, match=reason):
        sources(SOURCES.replace(was, is_now), "stable")
