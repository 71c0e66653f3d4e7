"""Certificates: what a local installation issues, and to whom it never does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from deploy.local.certificates import Authority, Certificates, Identity
from deploy.local.state import State
from device_adapters.contract.messages import ContractError


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(State(root=tmp_path))
    made.create()
    return made


def common_name(identity: Identity) -> object:
    certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def signers(identity: Identity, authorities: Iterable[Authority]) -> list[Authority]:
    """Return whose key signed this certificate: names prove nothing."""
    issued = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    found: list[Authority] = []
    for authority in authorities:
        above = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
        with suppress(InvalidSignature, ValueError):
            issued.verify_directly_issued_by(above)
            found.append(authority)
    return found


def test_everybody_is_called_what_the_broker_knows_them_by(certificates: Certificates) -> None:
    assert common_name(certificates.gateway("gateway-1")) == "gateway-1"
    assert common_name(certificates.gateway("gateway-2")) == "gateway-2"
    assert common_name(certificates.service("ingest")) == "service:ingest"


def test_each_doors_authority_signed_for_its_own_door_only(certificates: Certificates) -> None:
    doors = {
        certificates.gateways: [certificates.gateway("gateway-1")],
        certificates.services: [certificates.service("ingest")],
    }

    for authority, clients in doors.items():
        for identity in (authority.broker, *clients):
            assert signers(identity, doors) == [authority]


def test_private_keys_are_their_owners_only(certificates: Certificates) -> None:
    keys = list(certificates.gateways.directory.parent.rglob("*.key"))

    assert len(keys) == 9  # two authorities, the broker twice, two services, two gateways, canary
    assert {oct(key.stat().st_mode & 0o777) for key in keys} == {"0o600"}


def test_what_is_issued_stays(certificates: Certificates) -> None:
    before = certificates.gateway("gateway-1").certificate.read_bytes()

    certificates.create()

    assert certificates.issue_gateway("gateway-1").certificate.read_bytes() == before


@pytest.mark.parametrize("name", ["service:ingest", "a/b", "+", "#", "..", "", "a\nb", "x" * 65])
def test_no_gateway_gets_a_name_that_is_not_one_plain_topic_level(
    certificates: Certificates, name: str
) -> None:
    with pytest.raises(ContractError):
        certificates.issue_gateway(name)
