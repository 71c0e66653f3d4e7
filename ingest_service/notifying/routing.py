"""Which channels a message goes to: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from ingest_service.messages.message import Recipient
from ingest_service.store.channels import Channel


class Told(Protocol):
    """What of a message decides its way."""

    @property
    def recipient(self) -> str:
        """The role."""
        ...

    @property
    def care_unit_id(self) -> UUID | None:
        """The role's unit."""
        ...

    @property
    def priority(self) -> str | None:
        """The alert's, if it is about one."""
        ...

    @property
    def is_open(self) -> bool | None:
        """Whether the unit was open on that occasion."""
        ...


def next_channels(
    channels: Iterable[Channel], message: Told, *, after_rank: int = 0
) -> Sequence[Channel]:
    """Return the channels of the lowest rank above ``after_rank`` that fit; all at once.

    Args:
        channels: In use, of any unit and role.
        message: Who is to be told.
        after_rank: The rank that has been tried.
    """
    fitting = [one for one in channels if one.rank > after_rank and _fits(one, message)]
    lowest = min((one.rank for one in fitting), default=0)
    return [one for one in fitting if one.rank == lowest]


def _fits(channel: Channel, message: Told) -> bool:
    if channel.recipient != message.recipient or not channel.is_active:
        return False
    if message.recipient != Recipient.OPERATOR and channel.care_unit_id != message.care_unit_id:
        return False
    if message.priority is not None and message.priority not in channel.priorities:
        return False
    # Whoever does not know whether the unit is open had better tell once too often.
    return (
        channel.hours == "always"
        or message.is_open is None
        or (channel.hours == "open") == message.is_open
    )
