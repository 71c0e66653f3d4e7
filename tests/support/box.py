"""A gateway's machine as a directory tree, in which dpkg installs for real and without root.

The host's programs show through as links; what a package brings is the tree's own. Inside, one is
root of a user namespace with a single user, so that nothing of the host can be changed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.sandbox import BUBBLEWRAP
from tests.support import systemctl

_WITHIN_S: Final = 60.0
_PLACES: Final = (
    "dev proc tmp host opt etc run/systemd/system usr/bin usr/sbin usr/lib usr/share/dbus-1 "
    "var/lib/dpkg/info var/lib/dpkg/updates var/log"
)
# What a package of ours brings, or what talks to an init system that is not there.
_OWN: Final = ("hemvital", "systemctl", "systemd-")


@dataclass(frozen=True, slots=True)
class Box:
    """One machine; ``root`` is its file system."""

    root: Path

    @property
    def state(self) -> Path:
        """The gateway's state directory."""
        return self.root / "var/lib/hemvital-gateway"

    @property
    def log(self) -> str:
        """What the gateway has logged since the box was made."""
        return (self.root / "run/hemvital-systemctl/log").read_text(encoding="utf-8")

    def make(self, *, with_systemd: bool = True) -> Box:
        """Make the tree; without systemd it is an image that is being made."""
        for place in _PLACES.split():
            (self.root / place).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "sbin", "lib"):
            (self.root / name).symlink_to(f"usr/{name}")
        (self.root / "lib64").symlink_to("/host/lib64")
        for directory in ("usr/bin", "usr/sbin"):
            for program in Path("/", directory).iterdir():
                if not program.name.startswith(_OWN):
                    link = self.root / directory / program.name
                    link.symlink_to(f"/host/{directory}/{program.name}")
        libraries = sysconfig.get_config_var("MULTIARCH")
        for name in (libraries, "python3", "dpkg", "ssl"):
            (self.root / "usr/lib" / name).symlink_to(f"/host/usr/lib/{name}")
        for name in ("perl", "perl5", "zoneinfo", "dpkg"):
            (self.root / "usr/share" / name).symlink_to(f"/host/usr/share/{name}")
        for name in ("ld.so.cache", "ssl", "alternatives", "localtime", "hosts", "nsswitch.conf"):
            (self.root / "etc" / name).symlink_to(f"/host/etc/{name}")
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        (self.root / "etc/group").write_text("root:x:0:\n")
        (self.root / "var/lib/dpkg/status").touch()
        units = self.root / "usr/lib/systemd/system"
        units.mkdir(parents=True)
        for unit in Path("/usr/lib/systemd/system").iterdir():
            if not unit.name.startswith(_OWN[0]):
                (units / unit.name).symlink_to(f"/host{unit}")
        self._link_python()
        if with_systemd:
            program = self.root / "usr/bin/systemctl"
            source = Path(systemctl.__file__).read_text(encoding="utf-8")
            program.write_text(f"#!/usr/bin/python3 -I\n{source}", encoding="utf-8")
            program.chmod(0o755)
        else:
            (self.root / "run/systemd/system").rmdir()
        return self

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root there, and return what it said."""
        setting = [part for pair in environment.items() for part in ("--setenv", *pair)]
        argv = [BUBBLEWRAP, "--unshare-user", "--uid", "0", "--gid", "0", *self._mounts()]
        argv += ["--clearenv", "--setenv", "PATH", "/usr/sbin:/usr/bin", *setting, "--chdir", "/"]
        return subprocess.run(
            [*argv, *words], capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )

    def install(self, package: Path) -> subprocess.CompletedProcess[str]:
        """Install a package by dpkg; what it depends on is the host's."""
        done = self.run(
            *("dpkg", "--force-depends", "--force-not-root", "--install", f"/host{package}"),
            DEBIAN_FRONTEND="noninteractive",
            HEMVITAL_RELEASE_SETTLED_S="0.5",
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def end(self) -> None:
        """Kill the gateway that runs inside, if one does."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self.process(), signal.SIGKILL)

    def process(self) -> int:
        """Return the number of the gateway that was started last."""
        return int((self.root / "run/hemvital-systemctl/pid").read_text())

    def _mounts(self) -> Sequence[str]:
        mounts = ["--bind", str(self.root), "/", "--ro-bind", "/", "/host", "--dev", "/dev"]
        mounts += ["--ro-bind", "/proc", "/proc"]
        if sys.base_prefix != "/usr":
            mounts += ["--ro-bind", sys.base_prefix, sys.base_prefix]
        return mounts

    def _link_python(self) -> None:
        """Let Debian's Python be the one that runs the tests: packages are for one version."""
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        link = self.root / "usr/bin/python3"
        link.unlink(missing_ok=True)
        if sys.base_prefix == "/usr":
            link.symlink_to(f"/host/usr/bin/{name}")
        else:
            link.symlink_to(f"{sys.base_prefix}/bin/{name}")
