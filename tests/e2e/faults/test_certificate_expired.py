"""The gateway's certificate ends while its home measures on, and is renewed on its disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from deploy.local.certificates import Authority, Identity
from tests.support.faults_home import Home
from tests.support.gateway import GatewayProcess
from tests.support.radio import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

_VALID = timedelta(seconds=4)


def test_a_certificate_that_ends_holds_readings_up_and_loses_none(
    home: Home, tmp_path: Path
) -> None:
    identity = Identity(tmp_path / "gateway.pem", tmp_path / "gateway.key")
    cuff = home.cuff()
    home.register()
    ends = datetime.now(UTC) + _VALID
    _issue(home, identity, ends)

    process = _start(home, identity)
    home.measure(cuff, 5)
    home.settle()
    wait_until(lambda: datetime.now(UTC) > ends, within_s=10, what="the certificate ended")
    home.site.kill_broker()  # a connection outlives its certificate; the next one does not
    home.site.start_broker()
    process.wait_for_log("expired")
    home.measure(cuff, 5)
    wait_until(lambda: home.undelivered() == 5, within_s=20, what="readings queued")
    _issue(home, identity, datetime.now(UTC) + timedelta(days=1))
    found = home.settle()
    home.stop()

    about = "certificate expired, replaced on disk, gateway not restarted"
    home.count(about, found)
    assert found.is_sound
    assert found.stored == found.given == 10


def _start(home: Home, identity: Identity) -> GatewayProcess:
    return home.start(broker_certificate=str(identity.certificate), broker_key=str(identity.key))


def _issue(home: Home, identity: Identity, not_after: datetime) -> None:
    """Write a certificate of the gateways' authority, as whoever renews one does."""
    authority: Authority = home.site.services.certificates.gateways
    issuer = trustme.CA.from_pem(
        authority.certificate.read_bytes(), (authority.directory / "ca.key").read_bytes()
    )
    issued = issuer.issue_cert(common_name=home.gateway_id(), not_after=not_after)
    identity.key.write_bytes(issued.private_key_pem.bytes())
    identity.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
