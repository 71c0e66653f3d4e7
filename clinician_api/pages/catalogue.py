"""Words in the reader's language: gettext catalogues, read once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

DEFAULT: Final = "sv"
_FOLDER: Final = Path(__file__).with_name("locale")


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """One language: its code as HTML has it, how it writes dates and numbers, and its texts.

    Each is itself and nobody else, so that what is looked up in it can be kept (``@cache``).
    """

    code: str
    locale: Locale
    translations: Translations

    def gettext(self, message: str) -> str:
        """Return the text for an English message."""
        return self.translations.ugettext(message)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return the text for an English message in the form that the number asks for."""
        return self.translations.ungettext(singular, plural, number)


def load() -> Mapping[str, Catalogue]:
    """Return every language that has a catalogue, compiled in memory from its text."""
    return {
        path.parent.parent.name: _compiled(path)
        for path in sorted(_FOLDER.glob("*/LC_MESSAGES/messages.po"))
    }


def choose(
    catalogues: Mapping[str, Catalogue], *, chosen: str | None, accepted: str | None
) -> Catalogue:
    """Return the language a reader chose, else the browser's first that is there, else Swedish.

    Args:
        catalogues: What `load` returned.
        chosen: Code that the reader chose before.
        accepted: The browser's Accept-Language.
    """
    if chosen is not None and chosen in catalogues:
        return catalogues[chosen]
    for part in (accepted or "").split(",")[:20]:
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in catalogues:
            return catalogues[language]
    return catalogues[DEFAULT]


def _compiled(path: Path) -> Catalogue:
    code = path.parent.parent.name
    with path.open("rb") as file:
        texts = read_po(file, locale=code)
    compiled = BytesIO()
    write_mo(compiled, texts)
    compiled.seek(0)
    return Catalogue(code, Locale.parse(code), Translations(compiled))
