"""``hemvital-ingest release``: give back the share of a worker that never comes back."""

from __future__ import annotations

import argparse
import os
from typing import Final

from ingest_service.commands.database import OK, Commands
from ingest_service.settings import BrokerSettings, load
from ingest_service.subscriber import broker
from ingest_service.subscriber.broker import BrokerAddress

_WITHIN_S: Final = 20.0


def add(commands: Commands) -> None:
    """Add ``release``."""
    about = "End the broker's session of a dead worker, so that the others get its share."
    parser = commands.add_parser("release", help=about, description=about)
    parser.add_argument("client_id", help="as its HEMVITAL_INGEST_CLIENT_ID was")
    parser.set_defaults(run=_release)


def address_of(settings: BrokerSettings, name: str) -> BrokerAddress:
    """Return where the broker is, for a worker or the jobs of that name."""
    return BrokerAddress(
        host=settings.broker_host,
        port=settings.broker_port,
        authority=settings.broker_authority,
        certificate=settings.broker_certificate,
        key=settings.broker_key,
        name=name,
    )


def _release(arguments: argparse.Namespace) -> int:
    address = address_of(load(BrokerSettings, os.environ), arguments.client_id)
    had_session = broker.release(address, within_s=_WITHIN_S)
    print(f"{arguments.client_id}: {'released' if had_session else 'the broker keeps no session'}")
    return OK
