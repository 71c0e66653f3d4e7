"""MQTT topics: ``hemvital/v1/<gateway>/<leaf>`` in a home, below ``homes/`` for the services.

Gateways and services come in to the broker by different doors (docs/adr/0014). The gateways' door
puts ``homes/`` before every name that a gateway uses and takes it off every name that a gateway
sees, so the same message has two names: `topic` on the gateway's side, `mounted` on ours.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from device_adapters.contract.elements import ContractError

ROOT: Final = "hemvital/v1"
MOUNT: Final = "homes"
# For services only: by the gateways' door this would be an ordinary name below the mount.
READINGS_SHARED: Final = f"$share/ingest/{MOUNT}/{ROOT}/+/readings"

# A gateway's id is a topic level, a certificate's common name and its session's name at the
# broker: no wildcard, slash, colon or control character may pass, and nothing that a broker's
# pattern could read as more than one level.
_GATEWAY_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Leaf(StrEnum):
    """Last level of a topic; the first three go up, the others down."""

    READINGS = "readings"
    STATUS = "status"
    EVENTS = "events"
    RECEIPTS = "receipts"
    CONFIG = "config"
    RESEND = "resend"


def topic(gateway_id: str, leaf: Leaf) -> str:
    """Return the topic of one gateway's leaf, as the gateway names it.

    Raises:
        ContractError: If the id could be more than one plain topic level.
    """
    if not _GATEWAY_ID.fullmatch(gateway_id):
        raise ContractError(f"gateway id {gateway_id!r}: not a plain topic level")
    return f"{ROOT}/{gateway_id}/{leaf}"


def mounted(gateway_id: str, leaf: Leaf) -> str:
    """Return the topic of one gateway's leaf, as services name it.

    Raises:
        ContractError: If the id could be more than one plain topic level.
    """
    return f"{MOUNT}/{topic(gateway_id, leaf)}"


def every(leaf: Leaf) -> str:
    """Return the filter by which a service hears this leaf of every gateway."""
    return f"{MOUNT}/{ROOT}/+/{leaf}"


def gateway_of(name: str) -> str:
    """Return the gateway that a service's topic belongs to, or raise `ContractError`."""
    match name.split("/"):
        case ["homes", "hemvital", "v1", gateway_id, _] if _GATEWAY_ID.fullmatch(gateway_id):
            return gateway_id
        case _:
            raise ContractError(f"topic {name!r}: not a gateway's")
