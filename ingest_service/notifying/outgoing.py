"""What is handed to a sender, and what a sender is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ingest_service.messages.texts import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One attempt of one telling: everything that may leave, and where to.

    Attributes:
        id: The telling's, the same in each attempt.
        address: The channel's.
        secret: Name of the channel's secret.
        notice: What is said.
        kind: The message's.
        recipient: The role.
        priority: The alert's.
        reference: Letters by which people can talk about it.
        link: Where the worklist is.
        created_at: When the message was made.
        at: The time it is.
    """

    id: UUID
    address: str
    secret: str | None
    notice: Notice
    kind: str
    recipient: str
    priority: str | None
    reference: str
    link: str | None
    created_at: datetime
    at: datetime


class Sender(Protocol):
    """One kind of channel."""

    async def send(self, outgoing: Outgoing) -> None:
        """Hand it over to the other side, which then has it.

        Raises:
            DeliveryError: If it did not take it, or may not have.
        """
        ...
