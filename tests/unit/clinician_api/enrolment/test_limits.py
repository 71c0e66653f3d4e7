"""How often: so many in a window, each key for itself, and no key's count for ever."""

from __future__ import annotations

from clinician_api.enrolment.limits import Limit


def test_so_many_in_a_window_and_then_again() -> None:
    limit = Limit(2, 60)

    assert [limit.allows("a", at) for at in (0, 1, 2, 59, 60, 61, 62)] == [
        *(True, True, False, False),
        *(True, True, False),
    ]


def test_a_refused_one_does_not_count() -> None:
    limit = Limit(1, 60)
    limit.allows("a", 0)
    for at in range(1, 60):
        assert not limit.allows("a", at)

    assert limit.allows("a", 60)


def test_one_key_does_not_use_up_anothers() -> None:
    limit = Limit(1, 60)

    assert limit.allows("a", 0)
    assert limit.allows("b", 0)
    assert not limit.allows("a", 1)


def test_strangers_without_number_take_no_memory_without_number() -> None:
    limit = Limit(1, 60)
    for number in range(10_001):
        limit.allows(str(number), 0)

    # The first was forgotten for the last one.
    assert limit.allows("0", 1)
    assert not limit.allows("10000", 1)
