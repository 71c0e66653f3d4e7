"""A Bumble host on the air: attach, and attach again when the air comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bumble.device import Device, DeviceConfiguration
from bumble.hci import Address
from bumble.host import Host
from bumble.keys import JsonKeyStore, KeyStore, MemoryKeyStore
from bumble.transport.common import Transport
from bumble.transport.unix import open_unix_client_transport

_PREFIX: Final = "unix:"
_LEAVE_WITHIN_S: Final = 1.0
_RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


def air_path(text: str) -> Path:
    """Return the socket's path of ``unix:PATH``.

    Raises:
        ValueError: If the text has another form.
    """
    if not text.startswith(_PREFIX) or text == _PREFIX:
        raise ValueError(f"air {text!r}: not of the form unix:PATH")
    return Path(text.removeprefix(_PREFIX))


def key_store(address: str, file: Path | None) -> KeyStore:
    """Return where bonds are kept: in a file that outlives the process, or in memory."""
    return MemoryKeyStore() if file is None else JsonKeyStore(address, str(file))


def configuration(address: str, name: str) -> DeviceConfiguration:
    """Return a host's configuration; its identity key is derived from its address.

    Not secret, and need not be: no radio wave ever leaves this machine.
    """
    identity = Address(address)
    return DeviceConfiguration(name=name, address=identity, irk=(bytes(identity) * 3)[:16])


@dataclass(frozen=True, slots=True)
class Attachment:
    """A host on the air; ``lost`` ends when the air is."""

    device: Device
    lost: asyncio.Future[None]
    _transport: Transport

    async def leave(self) -> None:
        """Go off the air without a word: peers notice by their supervision timeout."""
        await self._transport.close()
        await asyncio.wait({self.lost}, timeout=_LEAVE_WITHIN_S)


@asynccontextmanager
async def attached(
    air: Path, config: DeviceConfiguration, keys: KeyStore
) -> AsyncGenerator[Attachment]:
    """Attach a host that is not yet powered on.

    Raises:
        OSError: If nobody serves the air there.
    """
    transport = await open_unix_client_transport(str(air))
    async with transport:
        device = Device(config=config, host=Host(transport.source, transport.sink))
        device.keystore = keys
        yield Attachment(device, transport.source.terminated, transport)


async def pause(attempt: int) -> None:
    """Wait before attaching again: longer the more attempts failed, at most two seconds."""
    await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
