"""Virtual cuffs, oximeters and an ``org.bluez`` service on one Bumble radio: no hardware."""
