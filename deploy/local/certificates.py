"""A throw-away certificate authority for one machine: the broker, the services, the gateways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from deploy.local.state import State, write_private
from device_adapters.contract.topics import Leaf, topic

GATEWAYS: Final = ("gateway-1", "gateway-2")
INGEST: Final = "ingest"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate (followed by those above it) and its private key, both PEM files."""

    certificate: Path
    key: Path


class Certificates:
    """The authority's files; its own key is read only to issue."""

    def __init__(self, state: State) -> None:
        self._pki = state.pki

    @property
    def authority(self) -> Path:
        """The certificate that everybody trusts."""
        return self._pki / "ca.pem"

    @property
    def broker(self) -> Identity:
        """Who the broker is."""
        return self._identity("broker", "broker")

    def service(self, name: str) -> Identity:
        """Return who a service is; the broker knows it as ``service:<name>``."""
        return self._identity("services", name)

    def gateway(self, gateway_id: str) -> Identity:
        """Return who a gateway is; the broker knows it by its id."""
        return self._identity("gateways", gateway_id)

    def create(self) -> None:
        """Make the authority and what a local installation needs, as far as it is missing."""
        if not self.authority.exists():
            authority = trustme.CA(organization_name="Hemvital, local installation")
            write_private(self._pki / "ca.key", authority.private_key_pem.bytes())
            write_private(self.authority, authority.cert_pem.bytes())
        if not self.broker.certificate.exists():
            self._issue(self.broker, "localhost", "127.0.0.1", "::1", common_name="localhost")
        if not self.service(INGEST).certificate.exists():
            self._issue(self.service(INGEST), common_name=f"service:{INGEST}")
        for gateway_id in GATEWAYS:
            self.issue_gateway(gateway_id)

    def issue_gateway(self, gateway_id: str) -> Identity:
        """Return a gateway's certificate, issued if there is none.

        Raises:
            ContractError: If the id is more than one plain topic level. None that passes holds a
                colon, so none can be a service's name.
        """
        topic(gateway_id, Leaf.READINGS)
        identity = self.gateway(gateway_id)
        if not identity.certificate.exists():
            self._issue(identity, common_name=gateway_id)
        return identity

    def _identity(self, kind: str, name: str) -> Identity:
        return Identity(self._pki / kind / f"{name}.pem", self._pki / kind / f"{name}.key")

    def _issue(self, identity: Identity, *hosts: str, common_name: str) -> None:
        key = (self._pki / "ca.key").read_bytes()
        authority = trustme.CA.from_pem(self.authority.read_bytes(), key)
        issued = authority.issue_cert(*hosts, common_name=common_name)
        write_private(identity.key, issued.private_key_pem.bytes())
        # Last: where there is a certificate, its key is there too.
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        write_private(identity.certificate, chain)
