"""A search on Observation as a client wrote it, understood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from clinician_api.errors import BadRequestError, NotAcceptableError
from clinician_api.fhir import codings, dates
from clinician_api.fhir.dates import Interval
from clinician_api.fhir.ids import logical_id
from clinician_api.fhir.parameters import DEFAULT_COUNT, MAX_COUNT, OBSERVATION, RESULT
from ingest_service.store.observation_search import ObservationSearch

_FILTERS: Final = frozenset(parameter.name for parameter in OBSERVATION)
_TYPED: Final = frozenset({"patient:Patient", "subject:Patient"})
_MAX_VALUES: Final = 200
_JSON: Final = frozenset({"json", "application/json", "application/fhir+json", "text/json"})

_T = TypeVar("_T")
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search, and the parameters that were applied, in the order given, for the self link."""

    search: ObservationSearch
    count: int
    applied: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The applied parameters as a query string."""
        return urlencode(self.applied, safe="/:|,")

    def after(self, at: datetime, row_id: UUID) -> Query:
        """Return the same search, from behind that row on."""
        return replace(self, search=replace(self.search, after=(at, row_id)))


def parse(
    given: Pairs, *, fhir_url: str, is_strict: bool, now: datetime, zone: ZoneInfo, years: int
) -> Query:
    """Return what is searched for.

    Args:
        given: Names and values as sent, decoded, repeated names kept.
        fhir_url: Base of this server's own addresses; a reference to another server is to nobody.
        is_strict: Refuse what is not understood (``Prefer: handling=strict``) instead of leaving
            it out.
        now: The current time, for the window that bounds every search.
        zone: Where dates without a zone are read.
        years: How far back the window goes.

    Raises:
        BadRequestError: If a value cannot be understood; if nothing that narrows the search is
            left; if ``is_strict`` and a parameter is unknown.
        NotAcceptableError: If ``_format`` asks for anything but JSON.
    """
    filters, shape = _sorted_out(given, is_strict=is_strict)
    if not filters:
        raise BadRequestError(
            "nothing narrows this search; give one of " + ", ".join(sorted(_FILTERS))
        )
    bound = dates.window(now, zone, years)
    narrowed = _Narrowing(fhir_url=fhir_url, within=(bound,))
    for name, value in filters:
        narrowed.add(name, value, zone)
    count = _count(shape.get("_count"))
    sort = shape.get("_sort", "-date")
    stated = list(filters)
    if not any(name == "date" for name, _ in filters):
        stated += [("date", f"ge{_day(bound[0], zone)}"), ("date", f"lt{_day(bound[1], zone)}")]
    return Query(
        search=ObservationSearch(
            within=narrowed.within,
            patient_ids=_tuple(narrowed.patient_ids),
            codes=_tuple(narrowed.codes),
            ids=_tuple(narrowed.ids),
            is_ascending=sort == "date",
            limit=count + 1,  # one more tells whether there is a next page
        ),
        count=count,
        applied=(*stated, ("_sort", sort), ("_count", str(count))),
    )


@dataclass(slots=True)
class _Narrowing:
    """What is left to match after each filter; repeated parameters all have to hold."""

    fhir_url: str
    within: tuple[Interval, ...]
    patient_ids: set[UUID] | None = None
    codes: set[str] | None = None
    ids: set[UUID] | None = None

    def add(self, name: str, value: str, zone: ZoneInfo) -> None:
        match name:
            case "patient" | "subject":
                self.patient_ids = _both(self.patient_ids, self._patients(value))
            case "code":
                self.codes = _both(
                    self.codes, (code for each in _split(value) for code in codings.codes(each))
                )
            case "category":
                of_category = codings.of_category(_split(value))
                if of_category is not None:
                    self.codes = _both(self.codes, of_category)
            case "date":
                alternatives = (
                    interval for each in _split(value) for interval in dates.matching(each, zone)
                )
                self.within = dates.intersection(self.within, alternatives)
            case _:
                self.ids = _both(self.ids, _ids(_split(value)))

    def _patients(self, value: str) -> set[UUID]:
        """Read ``ID``, ``Patient/ID`` and our own absolute address; all else matches nobody."""
        return _ids(
            each.removeprefix(f"{self.fhir_url}/Patient/").removeprefix("Patient/")
            for each in _split(value)
        )


def _sorted_out(given: Pairs, *, is_strict: bool) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Tell filters from what shapes the result; leave out, or refuse, what is neither."""
    filters: list[tuple[str, str]] = []
    shape: dict[str, str] = {}
    for sent, value in given:
        name = sent.removesuffix(":Patient") if sent in _TYPED else sent
        if name in _FILTERS:
            filters.append((name, _given(name, value)))
        elif re.split("[:.]", name)[0] in _FILTERS:
            # Left out, it would widen the result; the specification has it refused, too.
            raise BadRequestError(f"search parameter {_shown(name)}: modifier not supported")
        elif name == "_sort" and value in {"date", "-date"}:
            shape[name] = value
        elif name == "_format":
            _check_format(value)
        elif name in RESULT and name != "_sort" and value:
            shape[name] = value
        elif is_strict:
            raise BadRequestError(f"search parameter {_shown(name)}: not supported here")
    return filters, shape


def _given(name: str, value: str) -> str:
    if not _split(value):
        raise BadRequestError(f"{name}: no value")
    return value


def _check_format(value: str) -> None:
    if value.partition(";")[0].strip().replace(" ", "+") not in _JSON:
        raise NotAcceptableError("_format: only json is spoken here")


def _count(value: str | None) -> int:
    if value is None:
        return DEFAULT_COUNT
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise BadRequestError("_count: not a whole number from 0")
    return min(int(value), MAX_COUNT)


def _split(value: str) -> list[str]:
    r"""Split alternatives at commas; ``\,`` ``\|`` ``\$`` ``\\`` stand for themselves."""
    parts, part, characters = list[str](), "", iter(value)
    for character in characters:
        if character == "\\":
            part += next(characters, "")
        elif character == ",":
            parts.append(part)
            part = ""
        else:
            part += character
    parts = [each.strip() for each in (*parts, part)]
    if len(parts) > _MAX_VALUES:
        raise BadRequestError(f"more than {_MAX_VALUES} alternatives")
    return [each for each in parts if each]


def _ids(texts: Iterable[str]) -> set[UUID]:
    """Read logical ids; what no id of ours looks like matches nothing."""
    return {found for each in texts if (found := logical_id(each)) is not None}


def _both(before: set[_T] | None, value: Iterable[_T]) -> set[_T]:
    found = set(value)
    return found if before is None else before & found


def _tuple(values: set[_T] | None) -> tuple[_T, ...] | None:
    return None if values is None else tuple(values)


def _day(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).date().isoformat()


def _shown(name: str) -> str:
    return repr(name[:40])
