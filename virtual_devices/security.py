"""What a device asks of a host before it gives anything away, and the bonds it remembers."""

# Bumble's GATT server leaves its attributes' values untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from bumble import att
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Descriptor,
)
from bumble.keys import KeyStore, PairingKeys
from bumble.pairing import PairingConfig, PairingDelegate

Level = Literal["none", "just-works", "passkey"]


# No identity key: the address never changes, and Bumble would scan for it before connecting.
_KEYS: Final = PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY


class _Silent(PairingDelegate):
    def __init__(self) -> None:
        super().__init__(PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT, _KEYS, _KEYS)


class _Display(PairingDelegate):
    def __init__(self, show_passkey: Callable[[str], None]) -> None:
        super().__init__(PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY, _KEYS, _KEYS)
        self._show_passkey = show_passkey

    async def display_number(self, number: int, digits: int) -> None:
        self._show_passkey(f"{number:0{digits}}")


class Security:
    """One device's security: none, bonding without a question, or a passkey on its display.

    Args:
        level: What is asked of a host.
        keys: Where bonds are kept.
        show_passkey: Shows six digits where the person with the device sees them.
    """

    def __init__(
        self, level: Level, *, keys: KeyStore, show_passkey: Callable[[str], None]
    ) -> None:
        self.keys = keys
        self._level: Level = level
        self._show_passkey = show_passkey

    def guard(self, device: Device) -> None:
        """Make a host's pairing follow this device's rules."""
        is_passkey = self._level == "passkey"
        delegate = _Display(self._show_passkey) if is_passkey else _Silent()
        rules = PairingConfig(sc=True, mitm=is_passkey, bonding=True, delegate=delegate)

        def rules_for(_connection: Connection) -> PairingConfig:
            return rules

        device.pairing_config_factory = rules_for
        if is_passkey:
            device.on(device.EVENT_CONNECTION, self._insist)

    def characteristic(
        self,
        device: Device,
        uuid: UUID,
        properties: Characteristic.Properties,
        value: CharacteristicValue[bytes] | bytes = b"",
    ) -> Characteristic[bytes]:
        """Return a characteristic that only a host which fulfils the level may write or follow."""
        need = self._permissions()
        writeable = Characteristic.Permissions.WRITEABLE | need
        is_written = bool(properties & Characteristic.Properties.WRITE)
        made = Characteristic(uuid, properties, writeable if is_written else need, value)
        # Bumble's own descriptor of subscriptions would let anybody subscribe.
        made.descriptors = [
            Descriptor(
                GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
                Characteristic.Permissions.READABLE | writeable,
                att.AttributeValueV2(
                    lambda bearer: device.gatt_server.read_cccd(bearer, made),
                    write=lambda bearer, bits: device.gatt_server.write_cccd(bearer, made, bits),
                ),
            )
        ]
        return made

    async def forget(self) -> None:
        """Lose every bond, as with a new battery."""
        await self.keys.delete_all()

    def _permissions(self) -> Characteristic.Permissions:
        permissions = Characteristic.Permissions
        if self._level == "none":
            return permissions(0)
        if self._level == "just-works":
            return permissions.READ_REQUIRES_ENCRYPTION | permissions.WRITE_REQUIRES_ENCRYPTION
        return permissions.READ_REQUIRES_AUTHENTICATION | permissions.WRITE_REQUIRES_AUTHENTICATION

    def _insist(self, connection: Connection) -> None:
        """Refuse a host that bonded without the passkey, which Bumble would let pass."""

        def on_pairing(keys: PairingKeys) -> None:
            if keys.ltk is None or not keys.ltk.authenticated:
                connection.cancel_on_disconnection(self._refuse(connection))

        connection.on(connection.EVENT_PAIRING, on_pairing)

    async def _refuse(self, connection: Connection) -> None:
        await self.keys.delete(str(connection.peer_address))
        await connection.disconnect()
