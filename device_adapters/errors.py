"""Errors of the codecs: the device sent bytes that break the specification."""

from __future__ import annotations


class DecodeError(ValueError):
    """The bytes cannot be read; the text says which field and why, and holds no value."""


class TruncatedError(DecodeError):
    """A field that should be there is missing, whole or in part."""

    def __init__(self, field: str, *, needed: int, left: int) -> None:
        super().__init__(f"{field}: needed {needed} byte(s), {left} left")


class TrailingBytesError(DecodeError):
    """Bytes follow the last field."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} byte(s) after the last field")


class FieldError(DecodeError):
    """A field holds what the specification reserves or forbids."""
