"""One-time codes: drawn, printed, read however they are typed, and a typing error told apart."""

from __future__ import annotations

import itertools
import secrets
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.enrolment import CodeError, code_digest, new_code, read_code

# Crockford, Base 32: without I, L, O and U.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def symbols(code: str) -> str:
    return code.replace("-", "")


def test_a_code_of_which_every_symbol_is_known_beforehand() -> None:
    # Worked by hand. GF(2^5), x^5 = x^2 + 1: 1 is followed by 18 zeros and the check symbol. The
    # first symbol's weight is x^19, and x^5 = 5, x^10 = x^4 + 1 = 17, x^15 = 31,
    # x^19 = 31 doubled four times, each time reduced by 37 = 6.
    first = iter([1, *([0] * 18)])

    assert new_code(lambda _below: next(first)) == "1000-0000-0000-0000-0006"


def test_a_code_has_at_least_eighty_drawn_bits() -> None:
    drawn: list[int] = []

    def below(limit: int) -> int:
        drawn.append(limit)
        return 0

    new_code(below)

    assert set(drawn) == {32}
    assert 5 * len(drawn) >= 80


@pytest.mark.parametrize("typed", ["{}", " {} ", "{}\n"])
def test_a_code_is_read_however_it_is_typed(typed: str) -> None:
    code = new_code(secrets.randbelow)
    variants = [code, code.lower(), symbols(code), code.replace("-", " ")]

    assert {read_code(typed.format(each)) for each in variants} == {code}


def test_letters_that_look_like_digits_are_read_as_those() -> None:
    # Crockford: I and L are read as 1, O as 0.
    assert read_code("iooo-OOOO-0000-0000-0006") == "1000-0000-0000-0000-0006"
    assert read_code("LOOO-OOOO-0000-0000-0006") == "1000-0000-0000-0000-0006"


@given(st.lists(st.integers(0, 31), min_size=19, max_size=19), st.integers(0, 19), st.integers())
def test_every_single_wrong_symbol_is_found(drawn: list[int], place: int, by: int) -> None:
    values = iter(drawn)
    right = symbols(new_code(lambda _below: next(values)))
    wrong = ALPHABET[(ALPHABET.index(right[place]) + 1 + by % 31) % 32]

    with pytest.raises(CodeError, match="mistyped"):
        read_code(right[:place] + wrong + right[place + 1 :])


def test_every_two_symbols_that_changed_places_are_found() -> None:
    right = symbols(new_code(secrets.randbelow))

    for one, other in itertools.combinations(range(20), 2):
        if right[one] != right[other]:
            swapped = list(right)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            with pytest.raises(CodeError, match="mistyped"):
                read_code("".join(swapped))


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "20 letters and digits; 0"),
        ("1000-0000-0000-0000-000", "19 were given"),
        ("1000-0000-0000-0000-00066", "21 were given"),
        ("1000-0000-00U0-0000-0006", "group 3"),
        ("1000-0000-0000-000é-0006", "group 4"),
    ],
)
def test_what_is_no_code_is_told_without_repeating_it(typed: str, says: str) -> None:
    with pytest.raises(CodeError, match=says) as caught:
        read_code(typed)

    assert not typed or typed not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_code_or_a_code_error(text: str) -> None:
    with suppress(CodeError):
        read_code(text)


def test_two_codes_have_two_digests_of_256_bits() -> None:
    one, other = new_code(secrets.randbelow), new_code(secrets.randbelow)

    assert len(code_digest(one)) == 32
    assert code_digest(one) != code_digest(other)
