"""Debian: nothing is installed or built that is there already, and failures say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import debian
from deploy.local.debian import DebianError


def test_an_installed_package_needs_neither_network_nor_root(tmp_path: Path) -> None:
    log = tmp_path / "debian.log"

    debian.install(["dpkg"], log)  # every Debian has it

    assert not log.exists()


def test_a_tree_that_is_there_is_left_alone(tmp_path: Path) -> None:
    tree, log = tmp_path / "rootfs", tmp_path / "debian.log"
    tree.mkdir()

    debian.build_tree(tree, log)

    assert not list(tree.iterdir())
    assert not log.exists()


def test_a_tree_that_cannot_be_built_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, log = tmp_path / "rootfs", tmp_path / "debian.log"
    program = tmp_path / "mmdebstrap"
    program.write_text("#!/bin/sh\necho half an archive\necho mirror away >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(DebianError, match=r"(?s)mmdebstrap.*status 3.*debian\.log.*mirror away"):
        debian.build_tree(tree, log)

    assert not tree.exists()
    assert not tree.with_name("rootfs.tar").exists()

    # The next attempt begins anew.
    program.write_text("#!/bin/sh\nexec tar --create --file=- --files-from=/dev/null\n")
    debian.build_tree(tree, log)
    assert tree.is_dir()
