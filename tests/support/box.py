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

from deploy.gateway.command import own_architecture
from deploy.local.sandbox import BUBBLEWRAP
from tests.support import systemctl

_WITHIN_S: Final = 60.0
_PLACES: Final = (
    "dev proc tmp host opt etc run/systemd/system usr/bin usr/sbin usr/lib/systemd/system "
    "usr/share var/lib/dpkg/info var/lib/dpkg/updates var/log "
    "etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/trusted.gpg.d "
    "var/lib/apt/lists/partial var/cache/apt/archives/partial"
)
# What a package of ours brings, or what talks to an init system that is not there.
_OWN: Final = ("hemvital", "systemctl", "systemd-")


#: What the package depends on, in the version that Debian 12 has of it.
_DEBIAN: Final = {
    "bluez": "5.66-1",
    "ca-certificates": "20230311",
    "dbus": "1.14.10-1",
    "libc6": "2.36-9",
    "python3": f"{sys.version_info.major}.{sys.version_info.minor}.2-1",
    "systemd": "252.38-1",
    "tzdata": "2024a-0",
}


_SHOWN: Final = (
    "apt dpkg python3 ssl usr/share/perl usr/share/perl5 usr/share/zoneinfo usr/share/dpkg "
    "etc/ld.so.cache etc/ssl etc/alternatives etc/localtime etc/hosts etc/nsswitch.conf"
)


def _installed() -> str:
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n"
        f"Architecture: {own_architecture()}\nMaintainer: nobody\nDescription: the host's\n\n"
        for name, version in _DEBIAN.items()
    )


_FILES: Final = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    # Of the users that apt gives its rights away to, there is none in here.
    "etc/apt/apt.conf": 'APT::Sandbox::User "root";\n',
    "var/lib/dpkg/status": _installed(),
}


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
        self._link_host()
        self._link_python()
        for name, text in _FILES.items():
            (self.root / name).write_text(text, encoding="utf-8")
        if with_systemd:
            program = self.root / "usr/bin/systemctl"
            source = Path(systemctl.__file__).read_text(encoding="utf-8")
            program.write_text(f"#!/usr/bin/python3 -I\n{source}", encoding="utf-8")
            program.chmod(0o755)
        else:
            (self.root / "run/systemd/system").rmdir()
        return self

    def run(
        self, *words: str, user: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root there or as another user, and return what it said."""
        setting = [part for pair in environment.items() for part in ("--setenv", *pair)]
        argv = [BUBBLEWRAP, "--unshare-user", "--uid", str(user), "--gid", str(user)]
        argv += self._mounts()
        argv += ["--clearenv", "--setenv", "PATH", "/usr/sbin:/usr/bin", *setting, "--chdir", "/"]
        return subprocess.run(
            [*argv, *words], capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )

    def install(self, package: Path) -> subprocess.CompletedProcess[str]:
        """Install a package by dpkg."""
        done = self.run(
            *("dpkg", "--install", f"/host{package}"),
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

    def _link_host(self) -> None:
        for name in ("bin", "sbin", "lib"):
            (self.root / name).symlink_to(f"usr/{name}")
        (self.root / "lib64").symlink_to("/host/lib64")
        for directory in ("usr/bin", "usr/sbin", "usr/lib/systemd/system"):
            for program in Path("/", directory).iterdir():
                if not program.name.startswith(_OWN):
                    (self.root / directory / program.name).symlink_to(f"/host{program}")
        for unit in Path("/usr/lib/systemd/system").glob("systemd-*"):
            (self.root / "usr/lib/systemd/system" / unit.name).symlink_to(f"/host{unit}")
        for name in (sysconfig.get_config_var("MULTIARCH"), *_SHOWN.split()):
            path = name if "/" in name else f"usr/lib/{name}"
            (self.root / path).symlink_to(f"/host/{path}")

    def _link_python(self) -> None:
        """Let Debian's Python be the one that runs the tests: packages are for one version."""
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        link = self.root / "usr/bin/python3"
        link.unlink(missing_ok=True)
        if sys.base_prefix == "/usr":
            link.symlink_to(f"/host/usr/bin/{name}")
        else:
            link.symlink_to(f"{sys.base_prefix}/bin/{name}")
