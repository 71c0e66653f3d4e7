"""After a restore the server speaks first: an idle gateway would never learn of it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final, Protocol

from device_adapters.contract.messages import ContractError, Receipt
from ingest_service.store import incarnation
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

_PAUSE_S: Final = 55  # a little under the minute of the schedule, which is never quite even
_MOST: Final = 500


class Teller(Protocol):
    """What can carry a receipt to a gateway."""

    def tell(self, gateway_id: str, receipt: Receipt) -> bool:
        """Send it; tells whether it left."""
        ...


async def tell_gateways(pool: Pool, downlink: Teller, *, now: datetime) -> int:
    """Send a receipt that names this life of the database to gateways that may not know of it.

    A receipt does no harm however often it comes. A gateway that is away is told again, until
    it has sent something or can keep nothing more that was lost.

    Returns:
        How many receipts left.
    """
    async with pool.connection() as connection:
        due = await incarnation.tell(connection, now=now, pause_s=_PAUSE_S, most=_MOST)
    told = 0
    for one in due:
        receipt = Receipt(incarnation=one.incarnation, epoch=one.epoch, ranges=one.ranges)
        try:
            told += downlink.tell(one.gateway_id, receipt)
        except ContractError:
            continue  # kept from a topic that no gateway can have
    if told:
        logger.info("told gateways of the restored database", extra={"receipts": told})
    return told
