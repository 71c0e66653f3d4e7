"""MQTT topics: ``hemvital/v1/<gateway>/<leaf>``."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from device_adapters.contract.messages import ContractError

ROOT: Final = "hemvital/v1"
READINGS_SHARED: Final = f"$share/ingest/{ROOT}/+/readings"

# A gateway's id is a topic level and a certificate's common name: no wildcard, slash or control
# character may pass, and nothing that a broker's pattern could read as more than one level.
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
    """Return the topic of one gateway's leaf.

    Raises:
        ContractError: If the id could be more than one plain topic level.
    """
    if not _GATEWAY_ID.fullmatch(gateway_id):
        raise ContractError(f"gateway id {gateway_id!r}: not a plain topic level")
    return f"{ROOT}/{gateway_id}/{leaf}"


def gateway_of(name: str) -> str:
    """Return the gateway that a topic belongs to, or raise `ContractError`."""
    match name.split("/"):
        case ["hemvital", "v1", gateway_id, _] if _GATEWAY_ID.fullmatch(gateway_id):
            return gateway_id
        case _:
            raise ContractError(f"topic {name!r}: not a gateway's")
