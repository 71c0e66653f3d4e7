"""Enrolment: what a gateway and the server say to each other by HTTPS, and the one-time code.

A code is 20 symbols of Crockford's base 32 in five groups, such as ``7K3M-Q0ZX-…``: 19 of them
drawn at random (95 bits) and a check symbol, so that whoever mistyped one hears that, and not that
the code is wrong.

Source:
    Alphabet and reading of I, L, O: Crockford, Base 32. Its own check symbols hold ``*~$=``, which
    nobody dictates by telephone; ours is a Reed-Solomon check over GF(2^5) instead. It finds every
    single wrong symbol and every two that changed places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from device_adapters.contract.elements import ContractError

CERTIFICATES_PATH: Final = "/enrolment/certificates"
RENEWALS_PATH: Final = "/enrolment/renewals"

# A P-256 request is 400 bytes, a certificate 800: ten times that is not meant.
MAX_REQUEST_BYTES: Final = 16 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_PEM: Final = 4096

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ: Final = {symbol: value for value, symbol in enumerate(_ALPHABET)} | {"I": 1, "L": 1, "O": 0}
_GROUP: Final = 4
_SYMBOLS: Final = 20
_FIELD: Final = 0b100101  # x^5 + x^2 + 1, primitive over GF(2)
_CARRY: Final = 0b100000


class Cause(StrEnum):
    """Why enrolment or renewal was refused, for programs."""

    CODE_MISTYPED = "code_mistyped"
    CODE_UNKNOWN = "code_unknown"
    CODE_EXPIRED = "code_expired"
    CODE_USED = "code_used"
    CSR_INVALID = "csr_invalid"
    PROOF_INVALID = "proof_invalid"
    CERTIFICATE_UNKNOWN = "certificate_unknown"
    CERTIFICATE_REVOKED = "certificate_revoked"
    CERTIFICATE_SUPERSEDED = "certificate_superseded"
    GRACE_OVER = "grace_over"
    TOO_MANY = "too_many"
    BODY_INVALID = "body_invalid"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"


# What will not become right by waiting: a person has to act.
FINAL_CAUSES: Final = frozenset(Cause) - {Cause.TOO_MANY, Cause.UNAVAILABLE, Cause.NOT_FOUND}

_Pem = Annotated[str, msgspec.Meta(max_length=MAX_PEM)]


class CodeError(ContractError):
    """What was typed is no code: a symbol is missing, added or wrong."""


class EnrolmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code for a certificate; ``csr`` is PKCS #10 in PEM."""

    code: Annotated[str, msgspec.Meta(max_length=64)]
    csr: _Pem


class RenewalRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new certificate for an old one; ``proof`` is the old key's signature, in base 64."""

    certificate: _Pem
    csr: _Pem
    proof: Annotated[str, msgspec.Meta(max_length=256)]


class CertificateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs to come in: certificates in PEM, and where the broker is.

    ``chain`` begins with the gateway's own certificate; ``authority`` is what it trusts.
    """

    gateway_id: Annotated[str, msgspec.Meta(max_length=64)]
    chain: str
    authority: str
    broker_host: Annotated[str, msgspec.Meta(max_length=253)]
    broker_port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    renew_after: datetime


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why not: ``cause`` for programs, ``text`` for people."""

    cause: str
    text: str
    trace_id: str = ""


def proven(csr_der: bytes) -> bytes:
    """Return the bytes that the old key signs (ECDSA with SHA-256) to renew.

    The new request alone: whoever repeats the message gets the same certificate again, for a key
    that he does not have. No time is in it, since the clock may be what is wrong.
    """
    return b"hemvital renewal 1\x00" + csr_der


def new_code(below: Callable[[int], int]) -> str:
    """Return a new code in its printed form.

    Args:
        below: Draws a secret number below its argument, as `secrets.randbelow` does.
    """
    drawn = [below(len(_ALPHABET)) for _ in range(_SYMBOLS - 1)]
    return _printed([*drawn, _check(drawn)])


def read_code(typed: str) -> str:
    """Return a code in its printed form, however it was typed.

    Raises:
        CodeError: If it cannot be one; the text says what to look at and does not repeat it.
    """
    symbols = [symbol for symbol in typed.upper() if symbol not in "- \t\n"]
    if len(symbols) != _SYMBOLS:
        raise CodeError(f"the code has {_SYMBOLS} letters and digits; {len(symbols)} were given")
    for place, symbol in enumerate(symbols):
        if symbol not in _READ:
            group = place // _GROUP + 1
            raise CodeError(f"the code's group {group} holds a character that no code has")
    values = [_READ[symbol] for symbol in symbols]
    if _check(values[:-1]) != values[-1]:
        raise CodeError("the code is mistyped: a letter or digit is wrong, or two changed places")
    return _printed(values)


def code_digest(code: str) -> bytes:
    """Return what is kept of a printed code: with 95 drawn bits nobody finds it from that."""
    return hashlib.sha256(b"hemvital enrolment code 1\x00" + code.encode()).digest()


def _printed(values: Sequence[int]) -> str:
    text = "".join(_ALPHABET[value] for value in values)
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def _check(values: Sequence[int]) -> int:
    """Return the sum of each value times x to the power of its distance from the end."""
    total = 0
    for value in values:
        total = _times_x(total ^ value)
    return total


def _times_x(value: int) -> int:
    doubled = value << 1
    return doubled ^ _FIELD if doubled & _CARRY else doubled
