"""Throw-away certificate authorities for one machine, one for each door of the broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trustme

from clinician_api.enrolment.file_authority import FileAuthority
from clinician_api.enrolment.publishing import LIST_NAME
from deploy.local.state import State, write_private
from device_adapters.contract.topics import Leaf, topic

GATEWAYS: Final = ("gateway-1", "gateway-2")
CANARY: Final = "canary-1"
INGEST: Final = "ingest"
REVOCATIONS: Final = "revocations"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate (followed by those above it) and its private key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """One door's authority: whom it vouches for may come in there, and only there.

    The broker's certificate for that door is its too, so that whoever comes in trusts the one
    authority that let it.
    """

    directory: Path

    @property
    def certificate(self) -> Path:
        """The certificate that both sides of the door trust."""
        return self.directory / "ca.pem"

    @property
    def broker(self) -> Identity:
        """Who the broker is at this door."""
        return Identity(self.directory / "broker.pem", self.directory / "broker.key")

    @property
    def key(self) -> Path:
        """Its private key: what a local enrolment server signs with."""
        return self.directory / "ca.key"

    @property
    def revoked(self) -> Path:
        """Return the directory with the list of certificates that the broker refuses."""
        return self.directory / "revoked"

    def client(self, name: str) -> Identity:
        """Return where a client's certificate is, or will be."""
        clients = self.directory / "clients"
        return Identity(clients / f"{name}.pem", clients / f"{name}.key")

    def create(self) -> None:
        """Make the authority and the broker's certificate, as far as they are missing."""
        if not self.certificate.exists():
            authority = trustme.CA(organization_name=f"Hemvital, local {self.directory.name}")
            write_private(self.key, authority.private_key_pem.bytes())
            write_private(self.certificate, authority.cert_pem.bytes())
        self.issue(self.broker, "localhost", "127.0.0.1", "::1", common_name="localhost")

    def create_list(self) -> None:
        """Make the list of revoked certificates, with nobody on it, if there is none."""
        if not (self.revoked / LIST_NAME).exists():
            own = FileAuthority.load(self.certificate, self.key)
            content = own.revocation_list([], number=0, at=datetime.now(UTC))
            write_private(self.revoked / LIST_NAME, content.encode())

    def issue(self, identity: Identity, *hosts: str, common_name: str) -> None:
        """Issue a certificate unless it is there already."""
        if identity.certificate.exists():
            return
        authority = trustme.CA.from_pem(self.certificate.read_bytes(), self.key.read_bytes())
        issued = authority.issue_cert(*hosts, common_name=common_name)
        write_private(identity.key, issued.private_key_pem.bytes())
        # Last: where there is a certificate, its key is there too.
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        write_private(identity.certificate, chain)


class Certificates:
    """The files of both authorities; their own keys are read only to issue."""

    def __init__(self, state: State) -> None:
        self.gateways = Authority(state.pki / "gateways")
        self.services = Authority(state.pki / "services")

    def service(self, name: str) -> Identity:
        """Return who a service is; the broker knows it as ``service:<name>``."""
        return self.services.client(name)

    def gateway(self, gateway_id: str) -> Identity:
        """Return who a gateway is; the broker knows it by its id."""
        return self.gateways.client(gateway_id)

    def create(self) -> None:
        """Make the authorities and what a local installation needs, as far as it is missing."""
        for authority in (self.gateways, self.services):
            authority.create()
        self.gateways.create_list()
        for name in (INGEST, REVOCATIONS):
            self.services.issue(self.service(name), common_name=f"service:{name}")
        for gateway_id in (*GATEWAYS, CANARY):
            self.issue_gateway(gateway_id)

    def issue_gateway(self, gateway_id: str) -> Identity:
        """Return a gateway's certificate, issued if there is none.

        Raises:
            ContractError: If the id is more than one plain topic level.
        """
        topic(gateway_id, Leaf.READINGS)
        identity = self.gateway(gateway_id)
        self.gateways.issue(identity, common_name=gateway_id)
        return identity
