"""Enrol and renew: a key first, then the question, then all of the answer or nothing."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from device_adapters.contract.enrolment import (
    CertificateAnswer,
    EnrolmentRequest,
    RenewalRequest,
    code_digest,
)
from gateway import settings
from gateway.enrolment import answers, files, keys
from gateway.enrolment.answers import About, Origin
from gateway.enrolment.failures import AnswerError, EnrolmentError
from gateway.enrolment.server import Server
from gateway.settings import SettingsError

Clock = Callable[[], datetime]


class LastFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last renewal failed; lies beside the certificate, and goes with it."""

    at: datetime
    cause: str
    text: str


def enrol(
    state: Path, code: str, *, server: str, authority: Path | None, timezone: str, now: Clock
) -> About:
    """Get a certificate for a code, in its printed form, and have it count.

    Raises:
        EnrolmentError: If nothing came of it; what counted before counts still.
        OSError: If a file cannot be read or written.
    """
    asked = Server(server, authority, now)
    tag = hashlib.sha256(b"tag" + code_digest(code)).hexdigest()[:16]
    directory = files.prepare(state, tag, keys.new_key())
    key = keys.read_key((directory / files.KEY).read_bytes())
    request = keys.request_for(key)
    answer = asked.enrol(EnrolmentRequest(code=code, csr=keys.text_of(request)))
    trusted = authority.read_bytes() if authority else None
    origin = Origin(server=server, server_authority=trusted, timezone=timezone)
    return _take(state, directory, answer, origin, now())


def renew(state: Path, *, now: Clock) -> About:
    """Get a new certificate for a new key by the older one, and have it count.

    Raises:
        EnrolmentError: If nothing came of it; what counted before counts still.
        OSError: If a file cannot be read or written.
    """
    old = enrolled(state)
    about = read_about(old)
    trusted = old / files.SERVER_AUTHORITY
    authority = trusted if trusted.exists() else None
    asked = Server(about.server, authority, now)
    directory = files.prepare(state, about.serial[:16], keys.new_key())
    request = keys.request_for(keys.read_key((directory / files.KEY).read_bytes()))
    old_key = keys.read_key((old / files.KEY).read_bytes())
    certificate = (old / files.CERTIFICATE).read_text(encoding="ascii")
    own, end, _above = certificate.partition("-----END CERTIFICATE-----\n")
    answer = asked.renew(
        RenewalRequest(
            certificate=own + end,
            csr=keys.text_of(request),
            proof=keys.prove(old_key, request),
        )
    )
    if answer.gateway_id != about.gateway_id:
        raise AnswerError("the certificate is for another gateway than this one")
    kept = authority.read_bytes() if authority else None
    origin = Origin(server=about.server, server_authority=kept, timezone=about.timezone)
    return _take(state, directory, answer, origin, now())


def enrolled(state: Path) -> Path:
    """Return the directory of the identity that counts, or raise `EnrolmentError`."""
    directory = files.current(state)
    if directory is None:
        text = f"{state}: this gateway is not enrolled; hemvital-gateway enrol CODE does it."
        raise EnrolmentError(text, "not_enrolled")
    return directory


def read_about(directory: Path) -> About:
    """Return what is known of the certificate, or raise `EnrolmentError` if that is spoilt."""
    try:
        return answers.read_about(directory)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        text = f"{directory / files.ABOUT}: missing or not written here: enrol anew."
        raise EnrolmentError(text, "not_enrolled") from error


def is_due(about: About, now: datetime) -> bool:
    """Tell whether a third of the certificate's life is left, or less."""
    return now >= about.not_after - (about.not_after - about.not_before) / 3


def note_failure(state: Path, error: EnrolmentError, now: datetime) -> None:
    """Keep why a renewal failed, for ``hemvital-gateway status``."""
    directory = files.current(state)
    if directory is not None:
        failure = LastFailure(at=now, cause=error.cause, text=str(error))
        files.write_whole(directory / files.RENEWAL, msgspec.json.encode(failure))


def _take(
    state: Path, directory: Path, answer: CertificateAnswer, origin: Origin, now: datetime
) -> About:
    key = keys.read_key((directory / files.KEY).read_bytes())
    certificate = answers.check(answer, key, now)
    contents = answers.as_files(answer, certificate, state=state, origin=origin, now=now)
    _check_settings(contents[files.SETTINGS])
    files.put_in_place(state, directory, contents)
    return answers.read_about(directory)


def _check_settings(content: bytes) -> None:
    """Return if the daemon could start with them: it must not find out after the switch."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(content)
        file.flush()
        try:
            settings.load({}, Path(file.name))
        except SettingsError as error:
            raise AnswerError(str(error).rstrip(".")) from error
