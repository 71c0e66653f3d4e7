"""Errors that become answers, told apart by what the caller can do about them."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class ApiError(Exception):
    """Base of every error that becomes an answer; its text is shown, so it names no patient."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "exception"  # FHIR issue type
    page: ClassVar[str] = ""  # which sentence a page shows, where the status does not say enough
    headers: ClassVar[dict[str, str]] = {}


class BadRequestError(ApiError):
    """The request cannot be understood or carried out as it stands."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid"


class UnauthenticatedError(ApiError):
    """No valid token: it is missing, expired, for somebody else, or its client is unknown."""

    status = HTTPStatus.UNAUTHORIZED
    code = "login"
    headers: ClassVar[dict[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="hemvital", error="invalid_token"'
    }


class ForbiddenError(ApiError):
    """The caller is known and may not do this."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class NotFoundError(ApiError):
    """The resource does not exist, or the caller may not know that it does."""

    status = HTTPStatus.NOT_FOUND
    code = "not-found"


class NotAcceptableError(ApiError):
    """The caller asks for a format that is not spoken here."""

    status = HTTPStatus.NOT_ACCEPTABLE
    code = "not-supported"


class UnsupportedMediaTypeError(ApiError):
    """The request's body is of a kind that is not taken here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "not-supported"


class TooLargeError(ApiError):
    """The request's body is larger than anything that is meant."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too-long"


class UnsettledError(ApiError):
    """What was asked for cannot be had this moment; nothing is wrong with the request."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "transient"


class SignInNeededError(ApiError):
    """A page was asked for without a live session."""

    status = HTTPStatus.UNAUTHORIZED
    code = "login"


class SignInFailedError(ApiError):
    """The identity provider's answer does not hold, or it does not answer."""

    status = HTTPStatus.BAD_GATEWAY
    code = "login"
    page = "sign-in"


class SignInBrokenError(ApiError):
    """A sign-in that this browser did not begin, or too long ago, or that let nobody in."""

    status = HTTPStatus.BAD_REQUEST
    code = "login"
    page = "sign-in"


class NoRoleError(ForbiddenError):
    """Signed in, but without a role that gives the right to what was asked for."""

    page = "role"


class BulkRefusedError(ApiError):
    """Several alerts were to be ended at once, and one of them is more than information."""

    status = HTTPStatus.CONFLICT
    code = "business-rule"
    page = "bulk"


class UnknownUnitError(ApiError):
    """Signed in, but for a care unit that does not use this service."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    page = "unit"
