"""An ``org.bluez`` on a private bus over Bumble: as much of bluetoothd as a gateway meets."""
