"""The gateway's Debian package, built from this checkout and its lock without root.

It holds the gateway and its locked libraries as wheels bring them, for one architecture and one
Python: a machine of another kind can build it too, since nothing is compiled here. The same
checkout gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_LOCK: Final = Path("requirements") / "gateway.txt"
_DEADLINE_S: Final = 300.0

# What a wheel may ask for: the C library of the older of the two Debian releases.
_GLIBC: Final = (2, 36)
#: Debian's name of an architecture, and the wheels' name.
ARCHITECTURES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
#: Debian's releases: the number of each, and its Python.
RELEASES: Final = {"bookworm": (12, (3, 11)), "trixie": (13, (3, 13))}
# From this one on systemd (254) knows a back-off.
_WITH_BACK_OFF: Final = 13

# The server's half of the project stays at home.
_PACKAGES: Final = ("device_adapters", "gateway")
_SERVER: Final = ("clinician_api", "fhir_mappings", "ingest_service", "virtual_devices")

# Where each file of this directory goes, and whether it is a program.
_FILES: Final = (
    ("launcher.sh", "usr/bin/hemvital-gateway", True),
    ("release.py", "usr/sbin/hemvital-gateway-release", True),
    ("upgrade.py", "usr/lib/hemvital-gateway/upgrade.py", False),
    ("program.py", "usr/lib/hemvital-gateway/release/bin/hemvital-gateway", True),
    ("dbus/hemvital-gateway.conf", "usr/share/dbus-1/system.d/hemvital-gateway.conf", False),
    ("debian/copyright", "usr/share/doc/hemvital-gateway/copyright", False),
    ("debian/sysusers.conf", "usr/lib/sysusers.d/hemvital-gateway.conf", False),
    ("debian/tmpfiles.conf", "usr/lib/tmpfiles.d/hemvital-gateway.conf", False),
    ("systemd/journald.conf", "usr/lib/systemd/journald.conf.d/50-hemvital-gateway.conf", False),
    ("systemd/system.conf", "usr/lib/systemd/system.conf.d/50-hemvital-gateway.conf", False),
    *(
        (f"systemd/{unit}", f"usr/lib/systemd/system/{unit}", False)
        for unit in (
            "hemvital-gateway.service",
            "hemvital-gateway-renew.service",
            "hemvital-gateway-renew.timer",
            "hemvital-gateway-upgrade.service",
            "hemvital-gateway-upgrade.timer",
        )
    ),
)
_BACK_OFF: Final = "usr/lib/systemd/system/hemvital-gateway.service.d/back-off.conf"
_DOCUMENTS: Final = Path("usr/share/doc/hemvital-gateway")
_SCRIPTS: Final = ("postinst", "prerm", "postrm")
_RELEASE: Final = Path("usr/lib/hemvital-gateway/release/lib")


class PackageError(Exception):
    """The package could not be built; the text says which step and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a package is for.

    Attributes:
        architecture: Debian's name, ``arm64`` or ``amd64``.
        debian: The number of Debian's release.
        python: The Python that it brings.
    """

    architecture: str
    debian: int
    python: tuple[int, int]

    def version(self, version: str) -> str:
        """Return a version as the package bears it: one pool holds it for several Debians."""
        return f"{to_debian(version)}+deb{self.debian}"


def version_of(checkout: Path) -> str:
    """Return the version that the checkout gives itself."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def to_debian(version: str) -> str:
    """Return a Python version as Debian orders it: a pre-release before its release.

    >>> to_debian("1.2.0rc1")
    '1.2.0~rc1'
    """
    return re.sub(r"(a|b|rc)(?=[0-9])", r"~\1", re.sub(r"\.dev(?=[0-9])", "~~dev", version))


def build(
    checkout: Path,
    output: Path,
    target: Target,
    *,
    version: str,
    epoch: int,
    wheels: Path,
) -> Path:
    """Build the package and return its path.

    Args:
        checkout: The project.
        output: The directory that gets it.
        target: What it is for.
        version: Python's spelling; another than the checkout's makes a release for tests.
        epoch: The time that every file in it bears, in seconds since 1970.
        wheels: Where downloaded wheels are kept.

    Raises:
        PackageError: If a step fails.
    """
    kept = _download(checkout, target, wheels)
    with tempfile.TemporaryDirectory(prefix="hemvital-gateway-") as scratch:
        tree = Path(scratch) / "tree"
        libraries = tree / _RELEASE
        own = _own_wheel(checkout, Path(scratch), version, epoch)
        _unpack(checkout, libraries, kept, target)
        _pip(
            "install", "--no-deps", "--no-index", f"--target={libraries}", "--no-compile", str(own)
        )
        _trim(libraries)
        _lay_out(tree, target)
        _describe(tree, target, target.version(version), epoch)
        _level(tree, epoch)
        name = f"hemvital-gateway_{target.version(version)}_{target.architecture}.deb"
        package = output / name
        output.mkdir(parents=True, exist_ok=True)
        _run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(package)],
            {"SOURCE_DATE_EPOCH": str(epoch)},
        )
    return package


def _download(checkout: Path, target: Target, wheels: Path) -> Path:
    """Return a directory with the locked wheels; they are fetched once for each lock."""
    lock = checkout / _LOCK
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    major, minor = target.python
    kept = wheels / f"{target.architecture}-python{major}.{minor}-{digest}"
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as part:
        names = _platform_names(target)
        _pip("download", *_locked(lock, target), *names, f"--dest={part}/wheels")
        try:
            Path(part, "wheels").rename(kept)
        except OSError:
            if not kept.exists():  # another build was first
                raise
    return kept


def _unpack(checkout: Path, libraries: Path, wheels: Path, target: Target) -> None:
    lock = _locked(checkout / _LOCK, target)
    where = ["--no-index", f"--find-links={wheels}", "--no-compile", f"--target={libraries}"]
    _pip("install", *lock, *_platform_names(target), *where)


def _locked(lock: Path, target: Target) -> Sequence[str]:
    python = f"--python-version={target.python[0]}.{target.python[1]}"
    exactly = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp"]
    return [*exactly, python, f"--requirement={lock}"]


def _platform_names(target: Target) -> Iterator[str]:
    machine = ARCHITECTURES[target.architecture]
    major, newest = _GLIBC
    for minor in range(newest, 16, -1):
        yield f"--platform=manylinux_{major}_{minor}_{machine}"
    yield f"--platform=manylinux2014_{machine}"


def _own_wheel(checkout: Path, scratch: Path, version: str, epoch: int) -> Path:
    """Build the project's wheel in a copy: another version changes no file of the checkout."""
    copy, made = scratch / "source", scratch / "wheel"
    copy.mkdir()
    project = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    project = project.replace(
        f'\nversion = "{version_of(checkout)}"\n', f'\nversion = "{version}"\n', 1
    )
    (copy / "pyproject.toml").write_text(project, encoding="utf-8")
    shutil.copy(checkout / "README.md", copy)
    shutil.copy(checkout / "LICENSE", copy)
    for package in (*_PACKAGES, *_SERVER):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(checkout / package, copy / package, ignore=ignored)
    _pip(
        *("wheel", "--no-deps", "--no-build-isolation", "--no-index", f"--wheel-dir={made}"),
        str(copy),
        environment={"SOURCE_DATE_EPOCH": str(max(epoch, 315_532_800))},  # a zip begins in 1980
    )
    return next(made.glob("*.whl"))


def _trim(libraries: Path) -> None:
    """Take out what the gateway does not need, or what tells of the machine that built it."""
    for package in (*_SERVER, "bin", "share"):
        shutil.rmtree(libraries / package, ignore_errors=True)
    for notes in libraries.glob("*.dist-info"):
        for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
            (notes / name).unlink(missing_ok=True)


def _lay_out(tree: Path, target: Target) -> None:
    for source, place, is_program in _FILES:
        _put(_HERE / source, tree / place, 0o755 if is_program else 0o644)
    if target.debian >= _WITH_BACK_OFF:
        _put(_HERE / "systemd" / "back-off.conf", tree / _BACK_OFF, 0o644)


def _describe(tree: Path, target: Target, version: str, epoch: int) -> None:
    major, minor = target.python
    values = {"version": version, "date": formatdate(epoch)}
    changes = tree / _DOCUMENTS / "changelog"
    _fill(_HERE / "debian" / "changelog", changes, values)
    packed = gzip.compress(changes.read_bytes(), mtime=0)
    changes.with_name("changelog.gz").write_bytes(packed)
    changes.unlink()
    values |= {
        "architecture": target.architecture,
        "size": str(sum(path.stat().st_size for path in _files(tree)) // 1024),
        "python": f"{major}.{minor}",
        "next_python": f"{major}.{minor + 1}",
    }
    sums = "".join(
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  "
        f"{path.relative_to(tree)}\n"
        for path in _files(tree)
    )
    notes = tree / "DEBIAN"
    notes.mkdir()
    (notes / "md5sums").write_text(sums, encoding="utf-8")
    _fill(_HERE / "debian" / "control", notes / "control", values)
    for script in _SCRIPTS:
        _fill(_HERE / "debian" / script, notes / script, values)


def _level(tree: Path, epoch: int) -> None:
    """Give every file the modes and the time that a package's files have."""
    scripts = {tree / "DEBIAN" / script for script in _SCRIPTS}
    programs = {tree / place for _, place, is_program in _FILES if is_program}
    for path in [tree, *tree.rglob("*")]:
        is_program = path.is_dir() or path in scripts or path in programs
        path.chmod(0o755 if is_program else 0o644)
        os.utime(path, (epoch, epoch))


def _files(tree: Path) -> Sequence[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file())


def _put(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _fill(source: Path, target: Path, values: Mapping[str, str]) -> None:
    text = source.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    target.write_text(text, encoding="utf-8")


def _pip(*words: str, environment: Mapping[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run([*command, *words], environment or {})


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own command line
        argv,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise PackageError(f"{' '.join(argv[:5])} …: exit status {done.returncode}:\n{said}")
