"""Why a gateway gets no certificate: the sentence for people and the cause for programs."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from clinician_api.errors import ApiError
from device_adapters.contract.enrolment import Cause


class RefusedError(ApiError):
    """Base of all of them; the text is shown at the gateway and never repeats what was sent."""

    status = HTTPStatus.FORBIDDEN
    cause: ClassVar[Cause]

    def __init__(self, text: str, gateway_id: str | None = None) -> None:
        super().__init__(text)
        self.gateway_id = gateway_id  # for the log, where it is known


class CodeMistypedError(RefusedError):
    """What was sent is no code."""

    status = HTTPStatus.BAD_REQUEST
    cause = Cause.CODE_MISTYPED


class CodeUnknownError(RefusedError):
    """No such code was made."""

    cause = Cause.CODE_UNKNOWN


class CodeExpiredError(RefusedError):
    """The code's time is over, or a newer one was made for its gateway."""

    cause = Cause.CODE_EXPIRED


class CodeUsedError(RefusedError):
    """The code has been used with another key."""

    cause = Cause.CODE_USED


class CsrError(RefusedError):
    """The request for a certificate cannot be granted to anybody."""

    status = HTTPStatus.BAD_REQUEST
    cause = Cause.CSR_INVALID


class ProofError(RefusedError):
    """Whoever asks has not shown that he has the old key."""

    cause = Cause.PROOF_INVALID


class CertificateUnknownError(RefusedError):
    """The old certificate is none of ours."""

    cause = Cause.CERTIFICATE_UNKNOWN


class CertificateRevokedError(RefusedError):
    """The old certificate was revoked."""

    cause = Cause.CERTIFICATE_REVOKED


class CertificateSupersededError(RefusedError):
    """Later certificates of this gateway have been renewed, or it was enrolled anew."""

    cause = Cause.CERTIFICATE_SUPERSEDED


class GraceOverError(RefusedError):
    """The old certificate ended longer ago than is allowed."""

    cause = Cause.GRACE_OVER


class TooManyError(RefusedError):
    """Too much was asked in too short a time, or too many certificates still count."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    cause = Cause.TOO_MANY
    headers: ClassVar[dict[str, str]] = {"Retry-After": "600"}


class BodyError(RefusedError):
    """The body is not what this address takes."""

    status = HTTPStatus.BAD_REQUEST
    cause = Cause.BODY_INVALID


class BodyTooLargeError(BodyError):
    """The body is longer than anything that is meant."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
