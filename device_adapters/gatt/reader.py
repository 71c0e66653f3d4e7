"""A cursor over a characteristic's value."""

from __future__ import annotations

from device_adapters.contract.readings import DeviceTime, Number
from device_adapters.errors import FieldError, TrailingBytesError, TruncatedError
from device_adapters.ieee11073 import float32, sfloat


class Reader:
    """Read fields in order; every method names its field so that errors can say which."""

    __slots__ = ("_data", "_offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def uint(self, field: str, size: int) -> int:
        """Take ``size`` bytes as an unsigned little-endian integer, or raise `TruncatedError`."""
        left = len(self._data) - self._offset
        if left < size:
            raise TruncatedError(field, needed=size, left=left)
        raw = self._data[self._offset : self._offset + size]
        self._offset += size
        return int.from_bytes(raw, "little")

    def flags(self, field: str, *, reserved: int) -> int:
        """Take one byte of flags, or raise `FieldError` where a reserved one is set.

        A reserved flag announces a field that this codec does not know: whatever follows could
        be read as something else, so nothing of it is read.
        """
        flags = self.uint(field, 1)
        if flags & reserved:
            raise FieldError(f"{field}: reserved flag set in 0x{flags:02X}")
        return flags

    def sfloat(self, field: str) -> Number:
        """Take one SFLOAT; see `device_adapters.ieee11073.sfloat`."""
        return sfloat(self.uint(field, 2))

    def float32(self, field: str) -> Number:
        """Take one FLOAT; see `device_adapters.ieee11073.float32`."""
        return float32(self.uint(field, 4))

    def date_time(self, field: str) -> DeviceTime:
        """Take one 7-byte Date Time (0x2A08) as sent: year, month or day 0 and 31 February too.

        Real devices send all of these; whether a time can be trusted is judged later, by a
        function that knows the device's clock.
        """
        year = self.uint(f"{field}: year", 2)
        month, day = self.uint(f"{field}: month", 1), self.uint(f"{field}: day", 1)
        hour, minute = self.uint(f"{field}: hour", 1), self.uint(f"{field}: minute", 1)
        return DeviceTime(year, month, day, hour, minute, self.uint(f"{field}: second", 1))

    def rest(self) -> bytes:
        """Take whatever is left."""
        raw = self._data[self._offset :]
        self._offset = len(self._data)
        return raw

    def finish(self) -> None:
        """Raise `TrailingBytesError` unless everything was read."""
        if left := len(self._data) - self._offset:
            raise TrailingBytesError(left)
