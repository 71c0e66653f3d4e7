"""The radio: the only part of the gateway that knows bleak and BlueZ."""
