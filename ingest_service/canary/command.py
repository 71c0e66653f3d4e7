"""The canary's program: put together, run until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Final

import httpx
from prometheus_client import CollectorRegistry

from ingest_service.canary import nobody
from ingest_service.canary.door import Door
from ingest_service.canary.metrics import CanaryMetrics
from ingest_service.canary.numbers import InUseError, Numbers, held
from ingest_service.canary.service import Canary, serve
from ingest_service.observability import Health, log_as_json, served
from ingest_service.settings import CanarySettings, SettingsError, load
from ingest_service.store import connections

_OK, _FAILED, _USAGE = 0, 1, 2
_OUTSIDE_S: Final = 10.0


def main() -> int:
    """Run the canary and return its exit code: 0 stopped as told, 1 failed, 2 settings."""
    try:
        settings = load(CanarySettings, os.environ)
        log_as_json(settings.log_level)
        # It logs the address of every call, and the heartbeat's may hold a key.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        with held(settings.canary_state) as numbers:
            asyncio.run(_work(settings, numbers))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except InUseError as error:
        print(error, file=sys.stderr)
        return _FAILED
    except OSError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return _FAILED
    return _OK


def _now() -> datetime:
    return datetime.now(UTC)


async def _work(settings: CanarySettings, numbers: Numbers) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    began_at = _now()
    metrics = CanaryMetrics(_now, began_at)
    registry = CollectorRegistry()
    registry.register(metrics)
    # Ready is the canary's own state; what it finds out about others is in its metrics.
    health = Health(lambda: None)
    health.database = None
    pool = connections.pool(settings.canary_database, name="hemvital-canary", size=1)
    async with pool, httpx.AsyncClient(timeout=_OUTSIDE_S) as http:
        with served(settings.http_host, settings.canary_http_port, registry, health):
            one = Canary(
                door=Door(
                    host=settings.canary_broker_host,
                    port=settings.canary_broker_port,
                    authority=settings.canary_broker_authority,
                    certificate=settings.canary_broker_certificate,
                    key=settings.canary_broker_key,
                    gateway_id=nobody.GATEWAY,
                ),
                numbers=numbers,
                pool=pool,
                http=http,
                page_url=settings.canary_page_url,
                heartbeat_url=settings.canary_heartbeat_url,
                metrics=metrics,
                began_at=began_at,
            )
            await serve(one, stop, _now)
