"""From messages for staff to tellings by the channels of their role."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from ingest_service.notifying.routing import next_channels
from ingest_service.store import channels, messages, notifications
from ingest_service.store.connections import Pool
from ingest_service.store.messages import StaffMessage
from ingest_service.store.notifications import NotificationRow

logger = logging.getLogger(__name__)

_MOST: Final = 200


class Unrouted(Protocol):
    """Who counts messages that had no channel."""

    def unrouted(self, recipient: str) -> None:
        """Count one."""
        ...


async def dispatch(pool: Pool, counting: Unrouted, *, now: datetime) -> int:
    """Pass on messages for staff that wait, oldest first, in one transaction.

    Returns:
        How many there were; as many as one turn takes means that more may wait.
    """
    async with pool.connection() as connection:
        waiting = await messages.take_for_staff(connection, most=_MOST)
        if not waiting:
            return 0
        units = {one.care_unit_id for one in waiting if one.care_unit_id is not None}
        known = await channels.of_units(connection, sorted(units))
        rows = list[NotificationRow]()
        sorted_by_end: dict[str, list[UUID]] = {"expired": [], "handed_on": [], "unroutable": []}
        for one in waiting:
            if one.deadline is not None and one.deadline <= now:
                sorted_by_end["expired"].append(one.id)
                continue
            found = next_channels(known, one)
            rows += [notifications.row_of(one.id, channel.id) for channel in found]
            sorted_by_end["handed_on" if found else "unroutable"].append(one.id)
        await notifications.queue(connection, rows, at=now)
        for state, ids in sorted_by_end.items():
            await messages.move(connection, ids, state, at=now)
    _tell(waiting, sorted_by_end["unroutable"], counting)
    return len(waiting)


def _tell(
    waiting: Collection[StaffMessage], unroutable: Collection[UUID], counting: Unrouted
) -> None:
    for one in waiting:
        if one.id in unroutable:
            counting.unrouted(one.recipient)
            logger.warning(
                "no channel for a message",
                extra={
                    "message_id": str(one.id),
                    "kind": one.kind,
                    "recipient": one.recipient,
                    "care_unit_id": str(one.care_unit_id),
                },
            )
