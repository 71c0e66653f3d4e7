"""Rules that no tool knows, held against the checkout's own files."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

CHECKOUT: Final = Path(__file__).resolve().parents[3]
PACKAGES: Final = (
    "clinician_api",
    "device_adapters",
    "fhir_mappings",
    "gateway",
    "ingest_service",
    "virtual_devices",
)
# Composition roots: where the wall clock enters, to be passed on as an argument.
CLOCKS: Final = re.compile(r"(.*/command\.py|gateway/clock\.py)")
WALL_CLOCK: Final = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
}
# Who must keep a batch going whatever one message does, and says so at the line.
BROAD: Final = re.compile(r"ingest_service/admission/.*")
READING_PATIENTS: Final = ("changes", "observation_search", "worklist", "directory")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for file in sorted((CHECKOUT / package).rglob("*.py")):
            yield str(file.relative_to(CHECKOUT)), ast.parse(file.read_text(encoding="utf-8"))


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True, timeout=30
    )
    return [CHECKOUT / name for name in listed.stdout.decode().split("\0") if name]


def test_nobody_but_a_composition_root_asks_what_time_it_is() -> None:
    asking = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        if not CLOCKS.fullmatch(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in WALL_CLOCK
    ]

    assert asking == []


def test_only_admission_catches_every_exception() -> None:
    catching = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        if not BROAD.fullmatch(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception")
        )
    ]

    assert catching == []


def test_sql_stands_in_the_store_alone() -> None:
    statement = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\s", re.MULTILINE)
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        if not name.startswith(("ingest_service/store/", "gateway/"))  # the gateway's is SQLite
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and statement.search(node.value)
    ]

    assert found == []


@pytest.mark.parametrize("module", READING_PATIENTS)
def test_whoever_reads_patients_says_who_asks(module: str) -> None:
    file = CHECKOUT / "ingest_service" / "store" / f"{module}.py"
    tree = ast.parse(file.read_text(encoding="utf-8"))

    silent = [
        node.name
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and "caller" not in {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
        and node.name not in {"listen", "changes"}
    ]

    assert silent == []


def test_every_vector_names_its_source() -> None:
    files = sorted((CHECKOUT / "tests" / "vectors").glob("*.json"))

    nameless = [
        f"{file.name}: {vector.get('id')}"
        for file in files
        for vector in json.loads(file.read_text(encoding="utf-8"))
        if not vector.get("source")
    ]

    assert files
    assert nameless == []


def test_no_committed_file_names_a_package_registry_or_this_machine() -> None:
    unwanted = re.compile(
        "|".join(
            re.escape(host)
            for host in (
                "pypi" + ".org",
                "pythonhosted" + ".org",
                "registry.npmjs" + ".org",
                "deb.debian" + ".org",
            )
        )
    )

    naming = [
        str(file.relative_to(CHECKOUT))
        for file in tracked()
        if file.is_file() and unwanted.search(file.read_text(encoding="utf-8", errors="replace"))
    ]

    assert naming == []


def test_every_decision_has_its_parts() -> None:
    incomplete = [
        f"{page.name}: {part}"
        for page in sorted((CHECKOUT / "docs" / "adr").glob("0*.md"))
        for part in ("Context", "Decision", "Consequences", "Alternatives", "Check")
        if f"**{part}.**" not in page.read_text(encoding="utf-8")
    ]

    assert incomplete == []


def test_links_between_pages_lead_somewhere() -> None:
    link = re.compile(r"\]\((?!https?:|#)([^)#]+)")

    broken = [
        f"{page.relative_to(CHECKOUT)}: {target}"
        for page in tracked()
        if page.suffix == ".md" and page.is_file()
        for target in link.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert broken == []
