from __future__ import annotations

from statistics import mean, stdev

import pytest

from benchmarks.cohort.draws import Draws, log_normal, normal, poisson


def test_the_same_key_gives_the_same_numbers_in_any_order() -> None:
    one, other = Draws(1, "a"), Draws(1, "a")

    first = [one.uniforms("x", place) for place in range(3)]
    again = [other.uniforms("x", place) for place in reversed(range(3))]

    assert first == list(reversed(again))


@pytest.mark.parametrize("other", [Draws(2, "a"), Draws(1, "b")], ids=["seed", "name"])
def test_another_seed_or_name_gives_other_numbers(other: Draws) -> None:
    assert other.uniform("x") != Draws(1, "a").uniform("x")


def test_purposes_and_places_are_apart() -> None:
    draws = Draws(1, "a")

    numbers = {draws.uniform("x"), draws.uniform("y"), draws.uniform("x", 1)}

    assert len(numbers) == 3


def test_numbers_are_spread_as_they_should_be() -> None:
    draws = Draws(1, "a")
    numbers = [one for place in range(2000) for one in draws.uniforms("x", place)]

    normals = [normal(one) for one in numbers]

    # 16,000 numbers: the standard error of these is below 0.01.
    assert mean(numbers) == pytest.approx(1 / 2, abs=0.02)
    assert mean(normals) == pytest.approx(0, abs=0.04)
    assert stdev(normals) == pytest.approx(1, abs=0.03)


# The distribution function of a Poisson number of mean 2: 0.1353, 0.4060, 0.6767, from tables.
@pytest.mark.parametrize(
    ("uniform", "count"), [(0.13, 0), (0.14, 1), (0.40, 1), (0.41, 2), (0.67, 2), (0.68, 3)]
)
def test_poisson_counts_are_those_of_the_table(uniform: float, count: int) -> None:
    assert poisson(uniform, 2) == count


def test_the_median_of_a_log_normal_is_its_median() -> None:
    assert log_normal(0.5, median=7, sigma=0.9) == pytest.approx(7)
