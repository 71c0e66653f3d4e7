"""Whether the wall clock can be believed, told from how it moves against the count since boot.

Pure: looks come in, a time and a verdict go out. The time service's word is believed until the
clock is set by somebody else. Then the time that was confirmed goes on by the count since boot,
which nobody can set, and counts as unconfirmed until the service has spoken anew
(docs/explanation/clocks.md).
"""

from __future__ import annotations

from typing import Final

import msgspec

#: A jump is what cannot be a clock's slewing: the kernel slews by 500 in a million at most.
JUMP_US: Final = 2_000_000
_SLEW_DIVISOR: Final = 2000
#: systemd-timesyncd asks every 2048 s at the longest; a mark older than this says nothing of now.
FRESH_US: Final = 2400 * 1_000_000
#: How far back a time service's word may be taken back: not every reading of a year may move.
DOUBT_US: Final = 7 * 86_400 * 1_000_000
_TICK_US: Final = 100_000  # file times are a kernel tick coarse


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the clocks, in microseconds.

    ``mark_us`` is when the time service last said that the clock is right, by the wall clock of
    that moment; ``is_confirmed`` is the word of a source that says so of this very moment, None
    where the source leaves marks instead.
    """

    wall_us: int
    count_us: int
    mark_us: int | None = None
    is_confirmed: bool | None = None


class Trust(msgspec.Struct, kw_only=True):
    """What is believed of the wall clock, within one boot; kept over a restart.

    ``offset_us`` is the believed time minus the count since boot; ``seen_offset_us`` and
    ``seen_us`` are what the last look saw; ``confirmed_us`` is the count when the service last
    confirmed the time, ``contradicted_us`` from when on it has contradicted itself; ``is_held``:
    the clock was set, and the confirmed time goes on. ``doubted_us``: what was
    received from that count on, under a time called right, was received under a wrong one.
    """

    offset_us: int
    seen_offset_us: int
    seen_us: int
    mark_us: int | None = None
    confirmed_us: int | None = None
    is_trusted: bool = False
    is_held: bool = False
    contradicted_us: int | None = None
    doubted_us: int | None = None

    @property
    def jump_us(self) -> int:
        """Return by how much the wall clock is off what is believed."""
        return self.seen_offset_us - self.offset_us


def begin(look: Look) -> Trust:
    """Return what can be believed at the first look of a boot.

    A mark counts if it is of this boot and so fresh that the clock cannot have been set since
    without the service's setting it back.
    """
    offset_us = look.wall_us - look.count_us
    if look.is_confirmed is not None:
        is_trusted = look.is_confirmed
    else:
        is_trusted = look.mark_us is not None and (
            max(offset_us, look.wall_us - FRESH_US) - _TICK_US
            <= look.mark_us
            <= look.wall_us + _TICK_US
        )
    return Trust(
        offset_us=offset_us,
        seen_offset_us=offset_us,
        seen_us=look.count_us,
        mark_us=look.mark_us,
        confirmed_us=look.count_us if is_trusted else None,
        is_trusted=is_trusted,
    )


def see(trust: Trust, look: Look) -> None:
    """Take one more look into account."""
    offset_us = look.wall_us - look.count_us
    # While the confirmed time is held, nothing is allowed for: a small jump would look like
    # slewing in the end.
    slewed_us = 0 if trust.is_held else look.count_us - trust.seen_us
    agrees = abs(offset_us - trust.offset_us) <= _allowance_us(slewed_us)
    if _is_confirmed(trust, look, offset_us):
        _confirm(trust, look, offset_us)
    elif agrees:
        # A clock that came back to where it was confirmed is where it was confirmed.
        trust.is_trusted = look.is_confirmed is None and (trust.is_trusted or trust.is_held)
        trust.is_held = False
        trust.offset_us = offset_us
    elif trust.confirmed_us is not None:
        trust.is_trusted, trust.is_held = False, True
    else:  # nothing was ever confirmed: one unconfirmed time is as good as another
        trust.is_trusted = False
        trust.offset_us = offset_us
    trust.seen_offset_us, trust.seen_us = offset_us, look.count_us
    # A service that starts anew takes its mark away: that is no news of the clock.
    trust.mark_us = trust.mark_us if look.mark_us is None else look.mark_us


def _is_confirmed(trust: Trust, look: Look, offset_us: int) -> bool:
    if look.is_confirmed is not None:
        return look.is_confirmed
    if look.mark_us is None or look.mark_us == trust.mark_us:
        return False
    elapsed_us = look.count_us - trust.seen_us
    if abs(offset_us - trust.seen_offset_us) <= _allowance_us(elapsed_us):
        return True
    # Set and marked since the last look: only a mark made after it was set confirms the new
    # time. Where the two times' spans overlap it cannot be told, and the next mark is awaited.
    before_us = look.mark_us - trust.seen_offset_us
    after_us = look.mark_us - offset_us
    return _is_within(after_us, trust.seen_us, look.count_us) and not _is_within(
        before_us, trust.seen_us, look.count_us
    )


def _confirm(trust: Trust, look: Look, offset_us: int) -> None:
    if trust.confirmed_us is not None:
        # The service itself has set a clock that it had called right. Beyond what a crystal drifts
        # in the time, one of its words was wrong: the last one is taken, for all since the one
        # before. When it takes its word back, that is for all since it first contradicted itself.
        allowed_us = _allowance_us(look.count_us - trust.confirmed_us)
        if abs(offset_us - trust.offset_us) > allowed_us:
            before = [trust.confirmed_us, *_known(trust.contradicted_us)]
            trust.contradicted_us = max(min(before), look.count_us - DOUBT_US)
            trust.doubted_us = min([trust.contradicted_us, *_known(trust.doubted_us)])
    trust.confirmed_us = look.count_us
    trust.is_trusted, trust.is_held = True, False
    trust.offset_us = offset_us


def _known(count_us: int | None) -> list[int]:
    return [] if count_us is None else [count_us]


def _is_within(count_us: int, first_us: int, last_us: int) -> bool:
    return first_us - _TICK_US <= count_us <= last_us + _TICK_US


def _allowance_us(elapsed_us: int) -> int:
    return JUMP_US + elapsed_us // _SLEW_DIVISOR
