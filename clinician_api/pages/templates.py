"""HTML from templates, one environment for each language."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ingest_service.wording.catalogue import Catalogue

_FOLDER: Final = Path(__file__).with_name("templates")
STATIC: Final = Path(__file__).with_name("static")

# Each is a shape of its own: nobody has to tell colours apart.
_ICONS: Final = {
    "red": (
        '<path d="M8 1 15.5 14.5H.5Z"/>'
        '<path d="M7.1 5.6h1.8v4.4H7.1zM7.1 11h1.8v1.8H7.1z" class="kn"/>'
    ),
    "yellow": (
        '<path d="M8 .6 15.4 8 8 15.4.6 8Z"/>'
        '<path d="M7.1 4h1.8v5H7.1zM7.1 10.2h1.8V12H7.1z" class="kn"/>'
    ),
    "blue": (
        '<circle cx="8" cy="8" r="7"/><path d="M7.1 7h1.8v5H7.1zM7.1 4h1.8v1.8H7.1z" class="kn"/>'
    ),
    "wrench": (
        '<path d="M14.6 4.2 12 6.8 9.2 4 11.8 1.4A4.4 4.4 0 0 0 6 7.2L1 12.2 3.8 15l5-5a4.4 4.4'
        ' 0 0 0 5.8-5.8z"/>'
    ),
    "eye": (
        '<path d="M1 8s2.6-4.6 7-4.6S15 8 15 8s-2.6 4.6-7 4.6S1 8 1 8z" fill="none"'
        ' stroke="currentColor" stroke-width="1.6"/><path d="M2 14 14 2" stroke="currentColor"'
        ' stroke-width="1.6"/>'
    ),
    "clock": (
        '<circle cx="8" cy="8" r="6.6" fill="none" stroke="currentColor" stroke-width="1.6"/>'
        '<path d="M8 4v4.3l2.8 1.7" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    ),
    "lock": '<path d="M4 7V5a4 4 0 0 1 8 0v2h1v8H3V7zm2 0h4V5a2 2 0 0 0-4 0z"/>',
}


class Templates:
    """Renders pages; values are escaped, and a missing one is an error."""

    def __init__(self, catalogues: Mapping[str, Catalogue]) -> None:
        self._environments = {
            code: (_environment(), _globals(catalogue)) for code, catalogue in catalogues.items()
        }

    def render(self, name: str, catalogue: Catalogue, **values: object) -> str:
        """Return a page in one language."""
        environment, shared = self._environments[catalogue.code]
        template = environment.get_template(name, globals=shared)
        return template.render(language=catalogue.code, **values)


def _globals(catalogue: Catalogue) -> dict[str, object]:
    return {
        "icon": icon,
        "static": addresses(),
        "_": catalogue.gettext,
        "ngettext": catalogue.ngettext,
    }


@cache
def addresses() -> Mapping[str, str]:
    """Return each static file's address, which changes with its content."""
    return {path.name: _versioned(path) for path in sorted(STATIC.iterdir())}


@cache  # hundreds stand on a page
def icon(name: str) -> Markup:
    """Return one of the small pictures that stand beside words, never instead of them."""
    return Markup(
        '<svg class="ic" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{}</svg>'
    ).format(Markup(_ICONS[name]))  # noqa: S704 - constants of this module


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _versioned(path: Path) -> str:
    digest = hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()
    return f"/static/{path.name}?v={digest}"
