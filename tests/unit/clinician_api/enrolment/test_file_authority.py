"""The authority: who may be named, what a certificate is good for, and the files' modes."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clinician_api.enrolment import file_authority
from clinician_api.enrolment.authority import AuthorityError, Validity
from clinician_api.enrolment.file_authority import FileAuthority
from device_adapters.contract.elements import ContractError
from ingest_service.store.gateway_certificates import Revoked

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PEM = serialization.Encoding.PEM


@pytest.fixture
def authority(tmp_path: Path) -> FileAuthority:
    return file_authority.create(
        tmp_path / "authority.pem", tmp_path / "authority.key", name="Region", at=NOW
    )


def validity(days: int = 90, start: datetime = NOW) -> Validity:
    return Validity(not_before=start, not_after=start + timedelta(days=days))


def new_key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def openssl(*arguments: str) -> str:
    """Return what another implementation says."""
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout + done.stderr


def test_its_files_are_its_owners_and_are_never_replaced(tmp_path: Path) -> None:
    certificate, key = tmp_path / "authority.pem", tmp_path / "authority.key"
    file_authority.create(certificate, key, name="Region", at=NOW)
    before = certificate.read_bytes(), key.read_bytes()

    with pytest.raises(FileExistsError):
        file_authority.create(certificate, key, name="Other", at=NOW)

    assert oct(key.stat().st_mode & 0o777) == "0o600"
    assert (certificate.read_bytes(), key.read_bytes()) == before


def test_openssl_takes_its_certificate_for_a_client_and_for_nothing_else(
    tmp_path: Path, authority: FileAuthority
) -> None:
    issued = authority.issue(new_key(), "GW-0500", validity())
    (tmp_path / "gateway.pem").write_bytes(issued.public_bytes(PEM))
    at = ("-attime", str(int(NOW.timestamp()) + 60))
    trusted = ("-CAfile", str(tmp_path / "authority.pem"), "-x509_strict")
    file = str(tmp_path / "gateway.pem")

    assert "OK" in openssl("verify", *at, *trusted, "-purpose", "sslclient", file)
    # Nobody poses as the broker with a stolen gateway's key.
    refused = openssl("verify", *at, *trusted, "-purpose", "sslserver", file)
    assert "unsuitable certificate purpose" in refused or "unsupported" in refused


def test_openssl_takes_the_brokers_for_a_server(tmp_path: Path, authority: FileAuthority) -> None:
    issued = authority.issue_broker(new_key(), ["broker.example", "10.0.0.5"], NOW)
    (tmp_path / "broker.pem").write_bytes(issued.public_bytes(PEM))
    at = ("-attime", str(int(NOW.timestamp()) + 60))
    trusted = ("-CAfile", str(tmp_path / "authority.pem"), "-x509_strict")

    for name in (("-verify_hostname", "broker.example"), ("-verify_ip", "10.0.0.5")):
        shown = openssl(
            "verify", *at, *trusted, "-purpose", "sslserver", *name, str(tmp_path / "broker.pem")
        )
        assert "OK" in shown


def test_a_certificate_says_the_gateways_id_and_nothing_else(authority: FileAuthority) -> None:
    issued = authority.issue(new_key(), "GW-0500", validity())

    assert [(each.oid, each.value) for each in issued.subject] == [
        (NameOID.COMMON_NAME, "GW-0500")
    ]
    usage = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        issued.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    "name", ["service:ingest", "a/b", "+", "#", "..", "", "a\nb", "x" * 65, "$SYS", "a b", "é"]
)
def test_no_name_that_is_more_than_one_plain_topic_level(
    authority: FileAuthority, name: str
) -> None:
    with pytest.raises(ContractError):
        authority.issue(new_key(), name, validity())


def test_serial_numbers_are_drawn(authority: FileAuthority) -> None:
    serials = {authority.issue(new_key(), "g", validity()).serial_number for _ in range(20)}

    assert len(serials) == 20
    assert min(serials) > 2**64  # CA/Browser Forum BR 7.1: at least 64 bits, drawn


def test_nothing_outlives_the_authority(authority: FileAuthority) -> None:
    end = authority.chain[0].not_valid_after_utc

    last = authority.issue(new_key(), "g", validity(start=end - timedelta(days=10)))
    assert last.not_valid_after_utc == end
    with pytest.raises(AuthorityError, match="ended"):
        authority.issue(new_key(), "g", validity(start=end))


def test_the_list_is_signed_and_names_what_is_revoked(
    tmp_path: Path, authority: FileAuthority
) -> None:
    issued = authority.issue(new_key(), "GW-0500", validity())
    serial = f"{issued.serial_number:x}"
    (tmp_path / "gateway.pem").write_bytes(issued.public_bytes(PEM))
    file = tmp_path / "gateways.crl.pem"
    checked = (
        *("verify", "-attime", str(int(NOW.timestamp()) + 60), "-crl_check", "-CRLfile"),
        *(str(file), "-CAfile", str(tmp_path / "authority.pem"), str(tmp_path / "gateway.pem")),
    )

    file.write_text(authority.revocation_list([], number=1, at=NOW))
    assert "OK" in openssl(*checked)
    revoked = [Revoked(serial=serial, revoked_at=NOW)]
    file.write_text(authority.revocation_list(revoked, number=2, at=NOW))
    assert "certificate revoked" in openssl(*checked)


def test_a_list_outlives_a_timer_that_died(authority: FileAuthority) -> None:
    content = authority.revocation_list([], number=1, at=NOW)

    until = x509.load_pem_x509_crl(content.encode()).next_update_utc

    assert until is not None
    assert until - NOW > timedelta(days=9 * 365)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, authority: FileAuthority) -> None:
    (tmp_path / "authority.key").chmod(0o640)

    with pytest.raises(AuthorityError, match="0600"):
        FileAuthority.load(tmp_path / "authority.pem", tmp_path / "authority.key")


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key_is_refused(
    tmp_path: Path, authority: FileAuthority, content: bytes
) -> None:
    (tmp_path / "authority.key").write_bytes(content)

    with pytest.raises(AuthorityError, match="PEM"):
        FileAuthority.load(tmp_path / "authority.pem", tmp_path / "authority.key")


def test_a_key_of_another_authority_is_refused(tmp_path: Path, authority: FileAuthority) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "authority.key").write_bytes(file_authority.private_pem(other))

    with pytest.raises(AuthorityError, match="do not belong together"):
        FileAuthority.load(tmp_path / "authority.pem", tmp_path / "authority.key")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match=r"authority\.key: No such file"):
        FileAuthority.load(tmp_path / "authority.pem", tmp_path / "authority.key")
