"""The templates that come with the program: read from the package, the only I/O beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from ingest_service.plans.templates.template import Template, parse

Templates = Mapping[tuple[str, int], Template]


@cache
def shipped() -> Templates:
    """Return what comes with the program by id and version.

    Raises:
        TemplateError: If a file in the package is broken.
    """
    folder = files("ingest_service.plans.templates") / "shipped"
    found = [
        parse(file.read_bytes(), name=file.name)
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    ordered = sorted(found, key=lambda each: (each.id, each.version))
    return MappingProxyType({(each.id, each.version): each for each in ordered})
