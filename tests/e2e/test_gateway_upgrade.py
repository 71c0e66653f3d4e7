"""The nightly upgrade against a signed repository, by the real apt: one suite is one channel."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.gateway.command import own_architecture
from tests.e2e.test_gateway_package import in_use
from tests.support.box import Box

UPGRADE = ("python3", "-I", "/usr/lib/hemvital-gateway/upgrade.py")
SOURCES = """Types: deb
URIs: file:/repository
Suites: @channel@
Components: main
Signed-By: /etc/hemvital-gateway/repository.gpg
"""


@contextmanager
def new_keys(name: str) -> Generator[Path]:
    # Not pytest's directory: gpg's agent listens on a socket in it.
    with tempfile.TemporaryDirectory(prefix="hemvital-") as home:
        gpg(Path(home), "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign")
        yield Path(home)
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


@pytest.fixture
def keys() -> Generator[Path]:
    with new_keys("region") as home:
        yield home


@pytest.fixture
def other_keys() -> Generator[Path]:
    with new_keys("distribution") as home:
        yield home


@pytest.fixture
def box(tmp_path: Path, package: Path, keys: Path) -> Box:
    machine = Box(tmp_path / "box").make()
    machine.install(package)
    settings = machine.root / "etc/hemvital-gateway"
    settings.mkdir()
    (settings / "repository.sources").write_text(SOURCES, encoding="utf-8")
    (settings / "repository.gpg").write_bytes(gpg(keys, "--export"))
    publish(machine, "stable", package, keys)
    return machine


def gpg(home: Path, *words: str, text: bytes | None = None) -> bytes:
    argv = ["gpg", "--homedir", str(home), "--batch", "--quiet", *words]
    return subprocess.run(argv, input=text, capture_output=True, check=True, timeout=30).stdout


def publish(box: Box, suite: str, package: Path, keys: Path) -> None:
    """Put a package into one suite of the repository, and sign the suite."""
    content = package.read_bytes()
    fields = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, check=True)
    listed = (
        fields.stdout
        + (
            f"Filename: pool/{package.name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        ).encode()
    )
    index = f"main/binary-{own_architecture()}/Packages"
    release = (
        f"Suite: {suite}\nCodename: {suite}\nComponents: main\n"
        f"Architectures: {own_architecture()}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
        f"SHA256:\n {hashlib.sha256(listed).hexdigest()} {len(listed)} {index}\n"
    )
    repository = box.root / "repository"
    place = repository / "dists" / suite
    (place / index).parent.mkdir(parents=True, exist_ok=True)
    (repository / "pool").mkdir(exist_ok=True)
    (repository / "pool" / package.name).write_bytes(content)
    (place / index).write_bytes(listed)
    (place / "InRelease").write_bytes(gpg(keys, "--clearsign", text=release.encode()))


def upgrade(box: Box) -> subprocess.CompletedProcess[str]:
    return box.run(*UPGRADE, HEMVITAL_RELEASE_SETTLED_S="0")


def follow(box: Box, channel: str) -> None:
    box.state.mkdir(parents=True, exist_ok=True)
    (box.state / "channel").write_text(channel, encoding="utf-8")


def test_the_channel_decides_and_only_the_regions_signature_counts(
    box: Box, next_package: Path, keys: Path, other_keys: Path
) -> None:
    # Nobody has enrolled this box: releases come and go, and nothing is started.
    trusted = box.root / "etc/apt/trusted.gpg.d/distribution.gpg"
    trusted.write_bytes(gpg(other_keys, "--export"))  # for the machine's other packages

    stable = upgrade(box), in_use(box)
    follow(box, "early\n")
    publish(box, "early", next_package, other_keys)
    forged = upgrade(box), in_use(box)
    publish(box, "early", next_package, keys)
    early = upgrade(box), in_use(box)

    assert (stable[0].returncode, stable[1]) == (0, "0.1.0+deb12"), stable[0].stderr
    assert (forged[0].returncode, forged[1]) == (1, "0.1.0+deb12")
    assert "not upgraded in channel early" in forged[0].stderr
    assert (early[0].returncode, early[1]) == (0, "0.1.1+deb12"), early[0].stderr
    assert "does not start" not in stable[0].stderr + early[0].stderr
    assert not (box.root / "run/hemvital-systemctl/pid").exists()
