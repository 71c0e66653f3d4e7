"""The gateway's certificate: loaded, loaded anew once it was renewed, and what is known of it."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from device_adapters.contract.elements import Time
from gateway.clock import Moment

logger = logging.getLogger(__name__)

#: A certificate is ending when less than this share of its life, or less time, is left.
ENDING_SHARE: Final = 0.2
ENDING: Final = timedelta(days=14)

_MAX_FACTS_BYTES: Final = 64 * 1024


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What enrolment and renewal write beside a certificate: ``<certificate>.json``.

    The gateway's daemon reads no X.509 itself: a library that does would double its memory.
    """

    not_before: Time
    not_after: Time

    def ending(self, now: Moment) -> str | None:
        """Return what is wrong with the time left, or None; only a right clock can tell."""
        if not now.is_synchronised:
            return None
        if now.at >= self.not_after:
            return f"the gateway's certificate ended on {self.not_after:%Y-%m-%d}"
        left, life = self.not_after - now.at, self.not_after - self.not_before
        if left < ENDING or left < life * ENDING_SHARE:
            return f"the gateway's certificate ends on {self.not_after:%Y-%m-%d}, not renewed"
        return None

    def is_within(self, at: datetime) -> bool:
        """Tell whether a time lies in the certificate's validity."""
        return self.not_before <= at <= self.not_after


def read_facts(certificate: Path) -> CertificateFacts | None:
    """Return what is written beside a certificate, or None if there is nothing readable."""
    try:
        with certificate.with_name(f"{certificate.name}.json").open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_FACTS_BYTES), type=CertificateFacts)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        logger.debug("nothing is known of the certificate", extra={"reason": str(error)})
        return None


class Credentials:
    """A TLS context that takes over renewed files.

    Args:
        authority: Whom to trust.
        certificate: The gateway's own.
        key: Its key.

    Raises:
        OSError: If a file cannot be read.
        ssl.SSLError: If one holds none of what it should.
    """

    def __init__(self, *, authority: Path, certificate: Path, key: Path) -> None:
        self._files = authority, certificate, key
        for file in self._files:
            file.open("rb").close()  # the error of ssl would not say which one is missing
        self._loaded = self._marks()
        self.context = ssl.create_default_context(cafile=str(authority))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(str(certificate), str(key))

    @property
    def are_renewed(self) -> bool:
        """Tell whether the files are others than those that were loaded."""
        return self._marks() != self._loaded

    def load(self) -> None:
        """Load the files anew if they have changed; what cannot be loaded changes nothing."""
        marks = self._marks()
        if marks == self._loaded:
            return
        authority, certificate, key = map(str, self._files)
        try:
            # On a context of its own first: one that has taken a certificate and refused its key
            # could no longer connect. Between two renames the two do not belong together.
            ssl.create_default_context(cafile=authority).load_cert_chain(certificate, key)
            self.context.load_verify_locations(cafile=authority)
            self.context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            logger.warning("renewed certificate cannot be used", extra={"reason": str(error)})
            return
        self._loaded = marks
        logger.info("renewed certificate loaded")

    def _marks(self) -> Sequence[tuple[int, int, int] | None]:
        return [_mark(file) for file in self._files]


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
