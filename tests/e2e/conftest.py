"""The gateway's packages, built once for all tests that install them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy.gateway.command import own_architecture
from deploy.gateway.package import Target, build

CHECKOUT = Path(__file__).resolve().parents[2]
EPOCH = 1_790_000_000


def built(output: Path, version: str, target: Target | None = None) -> Path:
    """Build the package, without a target for this machine and the Python that runs the tests."""
    python = (sys.version_info.major, sys.version_info.minor)
    target = target or Target(architecture=own_architecture(), debian=12, python=python)
    wheels = CHECKOUT / ".local" / "wheels"
    return build(CHECKOUT, output, target, version=version, epoch=EPOCH, wheels=wheels)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return release 0.1.0."""
    return built(tmp_path_factory.mktemp("packages"), "0.1.0")


@pytest.fixture(scope="session")
def next_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same as release 0.1.1."""
    return built(tmp_path_factory.mktemp("packages"), "0.1.1")
