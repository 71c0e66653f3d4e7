"""Run a program from a Debian tree beside the host's own files, by bubblewrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BUBBLEWRAP: Final = "/usr/bin/bwrap"
# The descriptor on which bubblewrap reports the process that it started.
INFO_FD: Final = 3
_PATH: Final = "/usr/lib/postgresql/17/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Show a file or directory of the host at another place in the sandbox."""

    source: Path
    target: str
    is_writable: bool = False


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A read-only Debian tree with a few places of the host's in it, and nothing else.

    Inside, whoever starts it is the tree's user ``postgres``: PostgreSQL refuses to run as root,
    and its files stay its owner's on the host, whoever that is. The network is the host's.
    """

    tree: Path
    mounts: Sequence[Mount]
    scratch: Sequence[str] = ()

    def argv(self, *command: str) -> list[str]:
        """Return the command line that runs ``command`` to its end."""
        return [*self._base(), *command]

    def server_argv(self, *command: str) -> list[str]:
        """Return the command line that runs ``command`` as process 1 and reports its number."""
        return [*self._base(), "--as-pid-1", "--info-fd", str(INFO_FD), *command]

    def _base(self) -> list[str]:
        uid, gid = _ids(self.tree, "postgres")
        argv = [BUBBLEWRAP, "--unshare-user", "--uid", uid, "--gid", gid, "--unshare-pid"]
        argv += ["--ro-bind", str(self.tree), "/", "--dev", "/dev"]
        for place in ("/tmp", "/run", *self.scratch):  # noqa: S108 - the sandbox's own, not the host's
            argv += ["--tmpfs", place]
        for mount in self.mounts:
            how = "--bind" if mount.is_writable else "--ro-bind"
            argv += [how, str(mount.source), mount.target]
        environment = ["--clearenv", "--setenv", "PATH", _PATH, "--setenv", "LC_ALL", "C.UTF-8"]
        return [*argv, *environment, "--chdir", "/"]


def _ids(tree: Path, user: str) -> tuple[str, str]:
    for line in (tree / "etc" / "passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == user:
            return uid, gid
    raise LookupError(f"{tree}/etc/passwd: no user {user}")
