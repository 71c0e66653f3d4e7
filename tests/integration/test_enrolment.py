"""Enrolment over HTTPS: who gets a certificate, for how long it can be renewed, who is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from clinician_api.enrolment import file_authority
from clinician_api.enrolment.authority import Validity
from deploy.local.services import Services
from device_adapters.contract.enrolment import MAX_REQUEST_BYTES
from tests.support.enrolment import (
    GRACE,
    VALIDITY,
    Box,
    Enrolment,
    certificate_of,
    empty,
    enrolment_server,
    own_pem,
    register,
)
from tests.support.ingest import GATEWAY
from tests.support.services import Database, cloned

pytestmark = pytest.mark.timescale

CERTIFICATES = "/enrolment/certificates"
RENEWALS = "/enrolment/renewals"
SHA_256 = hashes.SHA256()


@pytest.fixture(scope="module")
def shared(services: Services, migrated_template: Database) -> Generator[Database]:
    """One database for all tests here: cloning takes longer than they do."""
    with cloned(services, migrated_template.name) as fresh:
        yield fresh


@pytest.fixture
def server(tmp_path: Path, shared: Database) -> Generator[Enrolment]:
    empty(shared)
    with enrolment_server(tmp_path, shared) as running:
        yield running


def enrolled(server: Enrolment, box: Box, gateway_id: str = GATEWAY) -> dict[str, Any]:
    answer = server.post(CERTIFICATES, {"code": server.code(gateway_id), "csr": box.csr})
    assert answer.status_code == 200, answer.text
    return answer.json()


def renewed(server: Enrolment, box: Box, certificate: str, new: Box) -> dict[str, Any]:
    answer = server.post(RENEWALS, box.renewal(certificate, new))
    assert answer.status_code == 200, answer.text
    return answer.json()


def cause(server: Enrolment, path: str, body: object) -> tuple[int, str]:
    answer = server.post(path, body)
    return answer.status_code, answer.json()["cause"]


def test_a_code_gives_a_certificate_of_the_gateway_that_it_was_made_for(
    server: Enrolment,
) -> None:
    box, before = Box(), datetime.now(UTC)

    answer = enrolled(server, box)

    certificate = certificate_of(answer)
    assert certificate.public_key() == box.key.public_key()
    assert [each.value for each in certificate.subject] == [GATEWAY] == [answer["gateway_id"]]
    # Skew allowed for, 90 days, renewed when a third is left: what the documentation says.
    assert timedelta(0) < before - certificate.not_valid_before_utc < timedelta(hours=2)
    assert abs(certificate.not_valid_after_utc - before - VALIDITY) < timedelta(minutes=1)
    renew_after = datetime.fromisoformat(answer["renew_after"])
    assert abs(renew_after - before - timedelta(days=60)) < timedelta(minutes=1)
    assert (answer["broker_host"], answer["broker_port"]) == ("localhost", 8883)
    authority = x509.load_pem_x509_certificate(answer["authority"].encode())
    certificate.verify_directly_issued_by(authority)


def test_a_code_is_kept_as_a_digest_and_told_to_no_log(server: Enrolment) -> None:
    code = server.code()
    server.post(CERTIFICATES, {"code": code, "csr": Box().csr})

    for query in (
        "SELECT row_to_json(enrolment_code) FROM enrolment_code",
        "SELECT row_to_json(enrolment_event) FROM enrolment_event",
        "SELECT row_to_json(gateway_certificate) FROM gateway_certificate",
    ):
        kept = str(server.rows(query))
        assert kept != "[]"
        assert code not in kept
        assert code.replace("-", "") not in kept


def test_the_request_gives_its_key_and_nothing_else(server: Enrolment) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service:ingest")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("broker")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    csr = request.public_bytes(serialization.Encoding.PEM).decode()

    answer = server.post(CERTIFICATES, {"code": server.code(), "csr": csr}).json()

    certificate = certificate_of(answer)
    assert [each.value for each in certificate.subject] == [GATEWAY]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_lost_answer_is_given_again_to_the_same_key_and_to_no_other(server: Enrolment) -> None:
    code, box = server.code(), Box()

    first = server.post(CERTIFICATES, {"code": code, "csr": box.csr}).json()
    again = server.post(CERTIFICATES, {"code": code.lower(), "csr": box.csr}).json()

    assert again == first
    assert cause(server, CERTIFICATES, {"code": code, "csr": Box().csr}) == (403, "code_used")
    assert server.rows("SELECT count(*) FROM gateway_certificate") == [(1,)]


def test_two_clients_with_one_code_at_once_get_one_certificate(server: Enrolment) -> None:
    for _ in range(3):
        code = server.code()
        bodies = [{"code": code, "csr": Box().csr} for _ in range(4)]

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(partial(server.post, CERTIFICATES), bodies))

        assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]
    assert server.rows("SELECT count(*) FROM gateway_certificate") == [(3,)]


def test_a_mistyped_code_is_told_apart_from_a_wrong_one(server: Enrolment) -> None:
    code = server.code()
    mistyped = ("1" if code[0] != "1" else "2") + code[1:]
    wrong = "1000-0000-0000-0000-0006"

    csr = Box().csr
    assert cause(server, CERTIFICATES, {"code": mistyped, "csr": csr}) == (400, "code_mistyped")
    assert cause(server, CERTIFICATES, {"code": wrong, "csr": csr}) == (403, "code_unknown")


def test_a_code_ends_by_time_by_a_newer_one_and_by_revocation(server: Enrolment) -> None:
    csr = Box().csr
    older = server.code()
    newer = server.code()
    assert cause(server, CERTIFICATES, {"code": older, "csr": csr}) == (403, "code_expired")

    server.clock.offset = timedelta(hours=72)
    assert cause(server, CERTIFICATES, {"code": newer, "csr": csr}) == (403, "code_expired")
    server.clock.offset = timedelta()

    server.command("gateways", "revoke", GATEWAY, "--decided-by", "IT", "--reason", "lost")
    assert cause(server, CERTIFICATES, {"code": newer, "csr": csr}) == (403, "code_expired")


def test_codes_are_made_for_registered_gateways_with_plain_names_only(server: Enrolment) -> None:
    told = server.command("gateways", "code", "GW-9", "--decided-by", "IT", code=1)
    assert "no gateway 'GW-9' is registered" in told
    for name in ("+", "#", "a/b", "service:ingest", ""):
        told = server.command("gateways", "code", name, "--decided-by", "IT", code=2)
        assert "not a plain topic level" in told


def test_a_registered_name_that_is_no_plain_level_gets_nothing(server: Enrolment) -> None:
    # Should registration ever let one through, and a code with it.
    register(server.database, "service:ingest")
    code = server.code()
    with_owner = "UPDATE enrolment_code SET gateway_id = 'service:ingest' RETURNING 1"
    assert server.rows(with_owner) == [(1,)]

    answer = server.post(CERTIFICATES, {"code": code, "csr": Box().csr})

    assert answer.status_code == 500
    assert server.rows("SELECT count(*) FROM gateway_certificate") == [(0,)]


def requests_that_nobody_is_granted() -> dict[str, str]:
    def of(key: Any, algorithm: Any = SHA_256) -> str:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()

    good = Box().csr.splitlines()
    der = x509.load_pem_x509_csr(Box().csr.encode()).public_bytes(serialization.Encoding.DER)
    broken = der[:-1] + bytes([der[-1] ^ 1])
    return {
        "no PEM": "certificate please",
        "truncated": "\n".join([good[0], *good[2:]]),
        "RSA 1024": of(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - that is the point
        "RSA 2048": of(rsa.generate_private_key(65537, 2048)),
        "P-224": of(ec.generate_private_key(ec.SECP224R1())),
        "P-384": of(ec.generate_private_key(ec.SECP384R1())),
        "Ed25519": of(ed25519.Ed25519PrivateKey.generate(), None),
        "signed with SHA-512": of(ec.generate_private_key(ec.SECP256R1()), hashes.SHA512()),
        "signature broken": _pem(broken),
        "NUL": "\x00",
        "surrogate": "\udcff",
    }


def _pem(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def test_a_request_that_is_odd_is_refused_and_uses_no_code(server: Enrolment) -> None:
    code = server.code()

    for name, csr in requests_that_nobody_is_granted().items():
        body = json.dumps({"code": code, "csr": csr}).encode()
        status, why = cause(server, CERTIFICATES, body)
        assert (status, why) in {(400, "csr_invalid"), (400, "body_invalid"), (429, "too_many")}, (
            name
        )
    assert server.post(CERTIFICATES, {"code": code, "csr": Box().csr}).status_code == 200


BODIES = {
    b"": 400,
    b"null": 400,
    b"[]": 400,
    b"{}": 400,
    b'{"code": 1, "csr": []}': 400,
    b'{"code": "a", "csr": "b", "gateway_id": "other"}': 400,
    b'{"code": "' + b"0" * 100 + b'", "csr": ""}': 400,
    b"\xff\xfe": 400,
    b"[" * 5000: 400,
    b"x" * (MAX_REQUEST_BYTES + 1): 413,
    b"x" * 4_000_000: 413,
}


def test_a_body_of_another_shape_is_refused_with_a_cause(server: Enrolment) -> None:
    for path in (CERTIFICATES, RENEWALS):
        for body, status in BODIES.items():
            answer = server.post(path, body)

            assert (answer.status_code, answer.json()["cause"]) == (status, "body_invalid")
            assert "other" not in answer.text


def test_other_addresses_and_methods_answer_with_a_cause_too(server: Enrolment) -> None:
    assert cause(server, "/", {}) == (404, "not_found")
    assert cause(server, "/fhir/Patient", {}) == (404, "not_found")


def test_wrong_codes_are_limited_and_a_right_one_is_not_locked_out(server: Enrolment) -> None:
    wrong = {"code": "1000-0000-0000-0000-0006", "csr": Box().csr}

    answers = [cause(server, CERTIFICATES, wrong) for _ in range(15)]

    assert answers == [(403, "code_unknown")] * 10 + [(429, "too_many")] * 5
    assert server.rows("SELECT count(*) FROM enrolment_event WHERE event = 'enrol'") == [(10,)]
    enrolled(server, Box())


def test_a_renewal_by_possession_and_the_old_one_still_counts(server: Enrolment) -> None:
    box, new = Box(), Box()
    first = enrolled(server, box)
    server.clock.offset = timedelta(days=60)

    second = renewed(server, box, own_pem(first), new)

    certificate = certificate_of(second)
    assert certificate.public_key() == new.key.public_key()
    assert [each.value for each in certificate.subject] == [GATEWAY]
    assert server.rows("SELECT count(*) FROM gateway_certificate WHERE revoked_at IS NULL") == [
        (2,)
    ]


def test_a_renewal_whose_answer_was_lost_is_given_again(server: Enrolment) -> None:
    box, new = Box(), Box()
    old = own_pem(enrolled(server, box))

    first = renewed(server, box, old, new)

    assert renewed(server, box, old, new) == first


def test_a_renewal_without_the_old_key_is_refused(server: Enrolment) -> None:
    box, thief = Box(), Box()
    old = own_pem(enrolled(server, box))
    good = box.renewal(old, Box())

    for body in (
        thief.renewal(old, thief),  # signed by a key of his own
        {**good, "csr": thief.csr},  # the gateway's signature of another request
        {**good, "proof": ""},
        {**good, "proof": "AAAA"},
        {**good, "proof": "not base 64"},
    ):
        assert cause(server, RENEWALS, body) == (403, "proof_invalid")


def test_a_certificate_of_somebody_else_is_refused(server: Enrolment) -> None:
    folder = server.directory / "other"
    folder.mkdir()
    now = datetime.now(UTC)
    other = file_authority.create(folder / "a.pem", folder / "a.key", name="Test", at=now)
    box = Box()
    validity = Validity(not_before=now, not_after=now + VALIDITY)
    foreign = other.issue(box.key.public_key(), GATEWAY, validity)
    pem = foreign.public_bytes(serialization.Encoding.PEM).decode()

    assert cause(server, RENEWALS, box.renewal(pem, Box())) == (403, "certificate_unknown")
    assert cause(server, RENEWALS, box.renewal("no PEM", Box())) == (403, "certificate_unknown")


def test_after_its_end_a_certificate_is_renewed_within_grace_and_not_after(
    server: Enrolment,
) -> None:
    box = Box()
    old = own_pem(enrolled(server, box))

    server.clock.offset = VALIDITY + GRACE - timedelta(minutes=5)
    new = Box()
    late = renewed(server, box, old, new)
    assert certificate_of(late).not_valid_after_utc > datetime.now(UTC) + VALIDITY + GRACE
    server.clock.offset = VALIDITY + GRACE + timedelta(minutes=5)
    assert cause(server, RENEWALS, box.renewal(old, Box())) == (403, "grace_over")
    # What it got in time goes on.
    renewed(server, new, own_pem(late), Box())


def test_a_revoked_certificate_is_not_renewed_whatever_came_of_it(server: Enrolment) -> None:
    box, new = Box(), Box()
    old = own_pem(enrolled(server, box))
    latest = own_pem(renewed(server, box, old, new))

    told = server.command(
        "gateways", "revoke", GATEWAY, "--decided-by", "IT", "--reason", "stolen"
    )

    assert "2 certificate(s) revoked" in told
    for who, certificate in ((box, old), (new, latest)):
        answer = server.post(RENEWALS, who.renewal(certificate, Box()))
        assert (answer.status_code, answer.json()["cause"]) == (403, "certificate_revoked")
    server.clock.offset = timedelta(days=200)  # also after its end
    body = new.renewal(latest, Box())
    assert cause(server, RENEWALS, body) == (403, "certificate_revoked")


def test_after_a_new_enrolment_the_older_box_renews_no_more(server: Enrolment) -> None:
    old_box, new_box = Box(), Box()
    old = own_pem(enrolled(server, old_box))
    new = own_pem(enrolled(server, new_box))

    assert cause(server, RENEWALS, old_box.renewal(old, Box())) == (403, "certificate_superseded")
    renewed(server, new_box, new, Box())


def test_a_certificate_whose_successor_was_renewed_renews_no_more(server: Enrolment) -> None:
    one, two, three = Box(), Box(), Box()
    first = own_pem(enrolled(server, one))
    second = own_pem(renewed(server, one, first, two))
    renewed(server, two, second, three)

    assert cause(server, RENEWALS, one.renewal(first, Box())) == (403, "certificate_superseded")
    # The one before the latest still does: the latest may have been lost on its way.
    renewed(server, two, second, Box())


def test_two_boxes_with_one_key_fall_apart(server: Enrolment) -> None:
    box, copy = Box(), Box()
    first = own_pem(enrolled(server, box))
    of_box = Box()
    second = own_pem(renewed(server, box, first, of_box))
    of_copy = own_pem(renewed(server, box, first, copy))  # by a copy of the first key

    renewed(server, of_box, second, Box())

    body = copy.renewal(of_copy, Box())
    assert cause(server, RENEWALS, body) == (403, "certificate_superseded")


def test_only_so_many_successors_live_at_once(server: Enrolment) -> None:
    box = Box()
    old = own_pem(enrolled(server, box))
    for _ in range(3):
        renewed(server, box, old, Box())

    assert cause(server, RENEWALS, box.renewal(old, Box())) == (429, "too_many")


def test_one_gateway_asks_so_often_and_anothers_turns_are_its_own(server: Enrolment) -> None:
    register(server.database, "gateway-2")
    box, other = Box(), Box()
    old, others = own_pem(enrolled(server, box)), own_pem(enrolled(server, other, "gateway-2"))
    new = Box()

    answers = [server.post(RENEWALS, box.renewal(old, new)).status_code for _ in range(21)]

    assert answers == [200] * 20 + [429]
    renewed(server, other, others, Box())


def test_a_key_is_for_one_certificate(server: Enrolment) -> None:
    register(server.database, "gateway-2")
    box = Box()
    old = own_pem(enrolled(server, box))

    code = server.code("gateway-2")
    assert cause(server, CERTIFICATES, {"code": code, "csr": box.csr}) == (400, "csr_invalid")
    assert cause(server, RENEWALS, box.renewal(old, box)) == (400, "csr_invalid")


def test_every_outcome_is_in_the_log(server: Enrolment) -> None:
    box = Box()
    answer = enrolled(server, box)
    renewed(server, box, own_pem(answer), Box())
    server.post(RENEWALS, box.renewal(own_pem(answer), box))
    server.command("gateways", "revoke", GATEWAY, "--decided-by", "IT", "--reason", "lost")

    query = "SELECT event, cause, gateway_id, decided_by FROM enrolment_event ORDER BY id"
    assert server.rows(query) == [
        ("code", None, GATEWAY, "IT"),
        ("enrol", None, GATEWAY, None),
        ("renew", None, GATEWAY, None),
        ("renew", "csr_invalid", GATEWAY, None),
        ("revoke", None, GATEWAY, "IT"),
        ("revoke", None, GATEWAY, "IT"),
    ]


def test_the_list_of_gateways_says_how_each_stands(server: Enrolment) -> None:
    register(server.database, "gateway-2", "gateway-3", "gateway-4")
    enrolled(server, Box())
    enrolled(server, Box(), "gateway-2")
    server.command("gateways", "revoke", "gateway-2", "--decided-by", "IT", "--reason", "lost")
    server.code("gateway-3")

    shown = server.command("gateways", "list", "--json").splitlines()

    assert {each["gateway_id"]: each["state"] for each in map(json.loads, shown)} == {
        GATEWAY: "valid",
        "gateway-2": "revoked",
        "gateway-3": "code_waits",
        "gateway-4": "never_enrolled",
    }
    plain = server.command("gateways", "list")
    assert "valid until" in plain
    assert "by IT: lost" in plain
