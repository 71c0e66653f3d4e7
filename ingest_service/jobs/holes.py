"""Numbers that never came: find them and ask their gateways."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final, Protocol

from device_adapters.contract.messages import ContractError, Resend
from ingest_service.store import deliveries
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

PAUSE_S: Final = 55  # a little under the minute of the schedule, which is never quite even
_MOST: Final = 500


class Asker(Protocol):
    """What can carry a request to a gateway."""

    def ask(self, gateway_id: str, resend: Resend) -> bool:
        """Ask; tells whether the request left."""
        ...


async def ask_for_missing(pool: Pool, downlink: Asker, *, now: datetime, age_s: int) -> int:
    """Ask for every hole older than ``age_s`` that was not asked for in the last minute.

    Returns:
        How many requests left.
    """
    async with pool.connection() as connection:
        holes = await deliveries.ask_for_holes(
            connection, now=now, age_s=age_s, pause_s=PAUSE_S, most=_MOST
        )
    asked = 0
    for hole in holes:
        try:
            asked += downlink.ask(hole.gateway_id, Resend(epoch=hole.epoch, ranges=hole.ranges))
        except ContractError:
            continue  # kept from a topic that no gateway can have
        logger.info(
            "asked for missing numbers",
            extra={"gateway_id": hole.gateway_id, "ranges": len(hole.ranges)},
        )
    return asked
