"""Install the newest release of this gateway's channel, from the region's own repository.

One suite of the repository is one channel. Which channel a gateway follows comes from its remote
configuration; the running gateway writes it into its state directory, and that is all it decides:
the repository and its key are the region's, in ``/etc/hemvital-gateway/repository.sources``, where
``@channel@`` stands for the suite. apt sees no other repository here, so nothing else is upgraded.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SOURCES: Final = Path("/etc/hemvital-gateway/repository.sources")
_CHANNEL: Final = Path("/var/lib/hemvital-gateway/channel")
_DEFAULT: Final = "stable"
_SUITE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MOST_BYTES: Final = 64
_PACKAGE: Final = "hemvital-gateway"


class UpgradeError(Exception):
    """Nothing is upgraded; the text is the sentence to show."""


def channel(file: Path) -> str:
    """Return the channel that the gateway was told to follow.

    This is read by root from a place where the gateway's user may put anything: no link is
    followed, nothing is waited for, and what stands there is not repeated.

    Raises:
        UpgradeError: If what stands there is no channel's name: it goes into apt's configuration.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as opened:  # noqa: PTH123 pathlib opens no handles
            is_file = stat.S_ISREG(os.fstat(handle).st_mode)
            name = opened.read(_MOST_BYTES).decode("ascii").strip() if is_file else ""
    except FileNotFoundError:
        return _DEFAULT
    except (OSError, UnicodeDecodeError) as error:
        raise UpgradeError(f"{file} holds no channel's name") from error
    if not _SUITE.fullmatch(name):
        raise UpgradeError(f"{file} holds no channel's name")
    return name


def sources(template: str, suite: str) -> str:
    """Return apt's source for one channel.

    Raises:
        UpgradeError: If the region's file leaves the channel or the signature out.
    """
    if "@channel@" not in template:
        raise UpgradeError(f"{_SOURCES} has no @channel@ where the suite belongs")
    if not re.search(r"(?mi)^Signed-By:\s*\S", template):
        raise UpgradeError(f"{_SOURCES} names no key: Signed-By is missing")
    if re.search(r"(?mi)^(Trusted|Allow-Insecure):\s*yes", template):
        raise UpgradeError(f"{_SOURCES} would take unsigned packages")
    return template.replace("@channel@", suite)


def commands(source: Path) -> Sequence[Sequence[str]]:
    """Return what is asked for, one after the other."""
    # A power cut in last night's installation leaves packages that apt refuses to go on from.
    mend = ["dpkg", "--force-confold", "--configure", "--pending"]
    apt = ["apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=600"]
    apt += ["-o", f"Dir::Etc::SourceList={source}", "-o", "Dir::Etc::SourceParts=-"]
    update = [*apt, "-o", "APT::Get::List-Cleanup=0", "update"]
    # A changed conffile is the region's: it stays.
    install = [*apt, "-o", "DPkg::Options::=--force-confold", "--no-install-recommends"]
    return [mend, update, [*install, "--only-upgrade", "install", _PACKAGE]]


def main() -> int:
    """Upgrade; return 0 also where there is nothing new, 1 if it could not be done."""
    try:
        text = sources(_SOURCES.read_text(encoding="utf-8"), suite := channel(_CHANNEL))
    except (UpgradeError, OSError) as error:
        print(f"not upgraded: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="hemvital-gateway-") as place:
        source = Path(place) / "channel.sources"
        source.write_text(text, encoding="utf-8")
        Path(place).chmod(0o755)  # apt reads as a user of its own
        for argv in commands(source):
            if subprocess.run(argv, check=False).returncode:  # noqa: S603 - a checked suite
                print(f"not upgraded in channel {suite}: {argv[0]} {argv[-1]}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
