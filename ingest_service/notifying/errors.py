"""Why a delivery failed, by what can be done: try again, or not.

``cause`` is stored, counted and logged, so it is a word of ours and nothing that came from
outside.
"""

from __future__ import annotations


class DeliveryError(Exception):
    """Base of both; its text is its cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class RefusedError(DeliveryError):
    """The same would be refused again: this channel is given up for this message."""


class UnavailableError(DeliveryError):
    """It may go well later.

    Attributes:
        retry_after_s: What the other side asked for, if it did.
    """

    def __init__(self, cause: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(cause)
        self.retry_after_s = retry_after_s
