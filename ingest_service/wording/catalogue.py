"""Words in the reader's language: gettext catalogues, read once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

DEFAULT: Final = "sv"
SOURCE: Final = "en"  # the language of the messages' own ids
_FOLDER: Final = Path(__file__).with_name("locale")


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """One language: its code as HTML has it, how it writes dates and numbers, and its texts.

    A text that the language lacks is Swedish, text by text: a catalogue may be begun and not
    finished. ``said`` are the messages that it has itself.

    Each is itself and nobody else, so that what is looked up in it can be kept (``@cache``).
    """

    code: str
    locale: Locale
    translations: Translations
    said: frozenset[str]

    def gettext(self, message: str) -> str:
        """Return the text for an English message."""
        return self.translations.ugettext(message)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return the text for an English message in the form that the number asks for."""
        return self.translations.ungettext(singular, plural, number)

    def language_of(self, message: str) -> str:
        """Return the code of the language that `gettext` says a message in."""
        return self.code if message in self.said or self.code == SOURCE else DEFAULT


def load(folder: Path = _FOLDER) -> Mapping[str, Catalogue]:
    """Return every language that has a catalogue, compiled in memory from its text.

    Args:
        folder: Holds ``<language>/LC_MESSAGES/messages.po``, Swedish among them.
    """
    found = {
        path.parent.parent.name: _compiled(path)
        for path in sorted(folder.glob("*/LC_MESSAGES/messages.po"))
    }
    for one in found.values():
        if one.code not in {DEFAULT, SOURCE}:
            one.translations.add_fallback(found[DEFAULT].translations)
    return found


def closest(catalogues: Mapping[str, Catalogue], tag: str | None) -> Catalogue:
    """Return the language of a BCP 47 tag or the nearest wider one that is there, else Swedish.

    ``sr-Latn-RS`` is looked for as that, as ``sr-Latn`` and as ``sr``; case makes no difference.
    """
    known = {code.lower(): one for code, one in catalogues.items()}
    parts = (tag or "").lower().replace("_", "-").split("-")[:8]
    for count in range(len(parts), 0, -1):
        if (found := known.get("-".join(parts[:count]))) is not None:
            return found
    return catalogues[DEFAULT]


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
        texts = read_po(file, locale=code.replace("-", "_"))
    compiled = BytesIO()
    write_mo(compiled, texts)
    compiled.seek(0)
    said = frozenset(
        message.id if isinstance(message.id, str) else message.id[0]
        for message in texts
        if message.id and message.string and all(message.string) and not message.fuzzy
    )
    return Catalogue(code, _locale_of(code), Translations(compiled), said)


def _locale_of(code: str) -> Locale:
    """Return how a language writes dates and numbers; as Swedish where Unicode does not know.

    It knows Northern Sami, but not Meänkieli.
    """
    try:
        return Locale.parse(code, sep="-")
    except UnknownLocaleError:
        return Locale.parse(DEFAULT)
