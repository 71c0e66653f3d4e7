"""Random numbers that depend on nothing but the seed, the patient, a purpose and a time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import Final

_EIGHT: Final = struct.Struct("<8Q")
_UNIT: Final = 2.0**-53
_NORMAL: Final = NormalDist()


class Draws:
    """One patient's random numbers: the same key gives the same numbers, in any order of asking.

    So a patient can be asked "what would be measured now" at any time, in any process, and the
    answer is the one that anybody else gets.
    """

    __slots__ = ("_key",)

    def __init__(self, seed: int, name: str) -> None:
        self._key = blake2b(f"{seed}/{name}".encode(), digest_size=32).digest()

    def uniforms(self, purpose: str, place: int = 0) -> tuple[float, ...]:
        """Return eight independent numbers between 0 and 1, both excluded."""
        text = f"{purpose}/{place}".encode()
        digest = blake2b(text, digest_size=_EIGHT.size, key=self._key).digest()
        return tuple(((word >> 11) + 0.5) * _UNIT for word in _EIGHT.unpack(digest))

    def uniform(self, purpose: str, place: int = 0) -> float:
        """Return one number between 0 and 1, both excluded."""
        return self.uniforms(purpose, place)[0]

    def normal(self, purpose: str, place: int = 0) -> float:
        """Return one number of the standard normal distribution."""
        return normal(self.uniform(purpose, place))

    def between(self, bounds: Sequence[float], purpose: str, place: int = 0) -> float:
        """Return a number spread evenly between two bounds."""
        low, high = bounds
        return low + (high - low) * self.uniform(purpose, place)


def normal(uniform: float) -> float:
    """Turn a uniform number into one of the standard normal distribution."""
    return _NORMAL.inv_cdf(uniform)


def log_normal(uniform: float, *, median: float, sigma: float) -> float:
    """Turn a uniform number into a log-normal one."""
    return median * exp(sigma * normal(uniform))


def poisson(uniform: float, mean: float) -> int:
    """Turn a uniform number into a count with that mean, by inversion."""
    count, term = 0, exp(-mean)
    reached = term
    while uniform > reached and term > _UNIT:
        count += 1
        term *= mean / count
        reached += term
    return count
