"""Why the broker cannot be had, in words that help whoever is sent to mend it.

paho and OpenSSL say it in their own words, and some of it only in a log line; what arrives for
which cause was measured on mosquitto 2.0.21 with OpenSSL 3, TLS 1.2 and 1.3.
"""

from __future__ import annotations

from typing import Final

from gateway.clock import Moment
from gateway.credentials import CertificateFacts

#: How the publisher marks what the broker said in MQTT, and not the network or TLS.
REFUSED: Final = "refused: "

# What the broker says of our certificate, as a TLS alert.
_ALERTS: Final = {
    "alert certificate expired": "the gateway's certificate has expired",
    "alert certificate revoked": "the gateway's certificate was revoked",
    "alert unknown ca": "the broker does not know the authority of the gateway's certificate",
    "alert bad certificate": "the broker finds the gateway's certificate damaged or not yet valid",
    "alert certificate required": "the broker asks for a certificate and was shown none",
    "alert certificate unknown": "the broker does not accept the gateway's certificate",
    "alert access denied": "the broker does not accept the gateway's certificate",
    "alert handshake failure": "the broker and the gateway have no TLS in common",
    "alert protocol version": "the broker and the gateway have no TLS in common",
}
# What we say of the broker's.
_VERIFY: Final = "certificate verify failed"
_OF_TIME: Final = ("certificate has expired", "certificate is not yet valid")
_OF_NAME: Final = ("hostname mismatch", "ip address mismatch")
# A name that does not exist; one that cannot be looked up just now is a missing network.
_NO_NAME: Final = ("name or service not known", "no address associated with hostname")


def explain(
    problem: str, *, broker: str, now: Moment, certificate: CertificateFacts | None
) -> str | None:
    """Return who refused whom and why, or None where just the network or the broker is away.

    Args:
        problem: What paho, OpenSSL or the resolver said.
        broker: The broker's name.
        now: The gateway's time: a wrong one makes certificates look invalid.
        certificate: What is known of the gateway's own.
    """
    said = problem.lower()
    if said.startswith(REFUSED):
        return f"refused by the broker: {_in_words(said.removeprefix(REFUSED))}"
    for alert, cause in _ALERTS.items():
        if alert in said:
            return cause
    if _VERIFY in said:
        return _of_the_brokers(said, broker, now, certificate)
    if any(part in said for part in _NO_NAME):
        return f"the broker's name {broker} cannot be resolved"
    return None


def _of_the_brokers(
    said: str, broker: str, now: Moment, certificate: CertificateFacts | None
) -> str:
    if any(part in said for part in _OF_TIME):
        is_ours_wrong = certificate is not None and not certificate.is_within(now.at)
        if not now.is_synchronised or is_ours_wrong:
            return f"the gateway's clock ({now.at:%Y-%m-%d}) is outside the certificate's validity"
        return "the broker's certificate has expired or is not yet valid"
    if any(part in said for part in _OF_NAME):
        return f"the broker's certificate is for another name than {broker}"
    return "the broker's certificate is not trusted"


def _in_words(reason: str) -> str:
    match reason:
        case "not authorized":
            return "not authorised"
        case "session taken over":
            return "another gateway is connected under the same id"
        case _:
            return reason
