"""The protocols that come with the program: read from the package, the only I/O beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from ingest_service.protocols.protocol import Protocol, ProtocolError, parse

#: Protocols by id and version.
Protocols = Mapping[tuple[str, int], Protocol]


@cache
def shipped() -> Protocols:
    """Return what comes with the program by id and version.

    Raises:
        ProtocolError: If a file in the package is broken.
    """
    folder = files("ingest_service.protocols") / "shipped"
    found = [
        parse(file.read_bytes(), name=file.name)
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".json")
    ]
    return _by_version(found)


@cache
def newest(protocol_id: str) -> Protocol | None:
    """Return the newest version of a protocol that comes with the program, if it does."""
    versions = [one for one in shipped().values() if one.id == protocol_id]
    return max(versions, key=lambda one: one.version, default=None)


def with_own(documents: Iterable[tuple[str, bytes]]) -> Protocols:
    """Return the shipped protocols and a region's own.

    Args:
        documents: Each one's name, to be called by in errors, and content.

    Raises:
        ProtocolError: If one is broken, or a version of a protocol is there already: an average
            that was issued by it would no longer mean what it says.
    """
    own = [parse(document, name=name) for name, document in documents]
    return _by_version([*shipped().values(), *own])


def _by_version(protocols: Iterable[Protocol]) -> Protocols:
    found: dict[tuple[str, int], Protocol] = {}
    for protocol in protocols:
        key = (protocol.id, protocol.version)
        if key in found:
            raise ProtocolError(
                f"{protocol.id}: version {protocol.version} is there already; "
                "give the document another id, or a higher version"
            )
        found[key] = protocol
    return MappingProxyType(found)
