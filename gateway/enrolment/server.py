"""The enrolment server, by HTTPS; what goes wrong on the way is told as its cause."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx
import msgspec
from cryptography import x509

from device_adapters.contract import elements
from device_adapters.contract.elements import ContractError
from device_adapters.contract.enrolment import (
    CERTIFICATES_PATH,
    MAX_ANSWER_BYTES,
    RENEWALS_PATH,
    CertificateAnswer,
    EnrolmentRequest,
    Refusal,
    RenewalRequest,
)
from gateway.enrolment.failures import (
    AnswerError,
    ClockError,
    EnrolmentError,
    RefusalError,
    UnreachableError,
)

_TIMEOUT_S: Final = 20.0
_ANSWERS: Final = msgspec.json.Decoder(CertificateAnswer)
_REFUSALS: Final = msgspec.json.Decoder(Refusal)

# OpenSSL, x509_vfy.h: X509_V_ERR_*.
_NOT_YET_VALID: Final = 9
_HAS_EXPIRED: Final = 10
_OF_NAMES: Final = frozenset({62, 64})
_OF_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})


class Server:
    """The server at one address.

    Args:
        url: Its address, https; the code would travel in the clear otherwise.
        authority: Whom to trust for it in place of the system's authorities, PEM.
        now: What time this machine believes it is.

    Raises:
        EnrolmentError: If the address or the authority cannot be used.
    """

    def __init__(self, url: str, authority: Path | None, now: Callable[[], datetime]) -> None:
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise EnrolmentError(f"--server {url}: {error}", "usage") from error
        if self._url.scheme != "https" or not self._url.host:
            raise EnrolmentError(f"--server {url}: an https:// address is needed", "usage")
        self._now = now
        try:
            self._trust = ssl.create_default_context(cafile=str(authority) if authority else None)
        except OSError as error:  # ssl.SSLError is one
            raise EnrolmentError(f"{authority}: {error}", "usage") from error

    def enrol(self, request: EnrolmentRequest) -> CertificateAnswer:
        """Return what the server gives for a code; `_ask` says what is raised."""
        return self._ask(CERTIFICATES_PATH, msgspec.json.encode(request))

    def renew(self, request: RenewalRequest) -> CertificateAnswer:
        """Return what the server gives for an older certificate; `_ask` says what is raised."""
        return self._ask(RENEWALS_PATH, msgspec.json.encode(request))

    def _ask(self, path: str, body: bytes) -> CertificateAnswer:
        """Return the server's answer.

        Raises:
            ClockError: If its certificate is good, but not by this machine's clock.
            UnreachableError: If there is no connection, or not to the server.
            RefusalError: If it says no.
            AnswerError: If its answer cannot be read.
        """
        with self._explained():
            status, answer = self._post(path, body)
        if status == HTTPStatus.OK:
            try:
                return elements.decode(_ANSWERS, answer)
            except ContractError as error:
                raise AnswerError(str(error)) from error
        try:
            refusal = elements.decode(_REFUSALS, answer)
        except ContractError as error:
            text = (
                f"What answered at {self._url} is not the enrolment server (status {status}): "
                "a wrong address, a proxy, or a network that wants a sign-in."
            )
            raise UnreachableError(text, "not_the_server") from error
        raise RefusalError(refusal.text, refusal.cause)

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        address = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        headers = {"Content-Type": "application/json"}
        received = bytearray()
        with (
            httpx.Client(verify=self._trust, timeout=_TIMEOUT_S) as client,
            client.stream("POST", address, content=body, headers=headers) as response,
        ):
            for chunk in response.iter_bytes():
                received += chunk
                if len(received) > MAX_ANSWER_BYTES:
                    raise AnswerError(f"it is longer than {MAX_ANSWER_BYTES} bytes")
        return response.status_code, bytes(received)

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except httpx.TransportError as error:
            verification = _verification(error)
            if verification is not None:
                raise self._distrust(verification) from error
            why = str(error).rstrip(".") or type(error).__name__
            text = f"The server {self._url} cannot be reached: {why}."
            raise UnreachableError(text, "unreachable") from error
        except httpx.HTTPError as error:
            text = f"The server {self._url} does not answer as it should: {error}."
            raise UnreachableError(text, "unreachable") from error

    def _distrust(self, error: ssl.SSLCertVerificationError) -> EnrolmentError:
        code = error.verify_code
        if code in {_NOT_YET_VALID, _HAS_EXPIRED}:
            return ClockError(self._of_time())
        if code in _OF_NAMES:
            text = f"The server's certificate is for another name than {self._url.host}."
            return UnreachableError(text, "server_name")
        if code in _OF_AUTHORITY:
            text = (
                f"The certificate of {self._url.host} comes from an authority that this gateway "
                "does not trust: give the region's by --authority, or something on the way "
                "answers in the server's place."
            )
            return UnreachableError(text, "server_authority")
        text = f"The certificate of {self._url.host} does not hold: {error.verify_message}."
        return UnreachableError(text, "server_certificate")

    def _of_time(self) -> str:
        """Return the sentence that lets a person see which of the two is wrong."""
        believed = f"This machine's clock says {self._now():%Y-%m-%d %H:%M} UTC"
        try:
            # Not trusted, and used for nothing but its dates.
            pem = ssl.get_server_certificate(
                (self._url.host, self._url.port or 443), timeout=_TIMEOUT_S
            )
            certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
        except (OSError, ValueError):
            return f"{believed}; by that, the server's certificate does not count."
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return (
            f"{believed}; the server's certificate is valid from {start:%Y-%m-%d} to "
            f"{end:%Y-%m-%d}. If the clock is wrong, let it reach a time server (NTP, UDP port "
            "123) and try again."
        )


def _verification(error: BaseException) -> ssl.SSLCertVerificationError | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
