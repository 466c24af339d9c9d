"""How many rows a batch gets, by what batches of a simulated server took: any noise, seconds a row, seconds beside."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from stepwell.jobs.size import BatchSize

TARGET = 0.06
NOISE = st.lists(st.floats(0.9, 1.1), min_size=60, max_size=60)


def batches(seconds: Callable[[int, int], float], noise: list[float]) -> list[tuple[int, float]]:
    """The rows and the seconds of each batch, where `seconds` tells what so many rows take as the batch of a number."""
    size, seen = BatchSize(1000, TARGET), []
    for number, by in enumerate(noise):
        seen.append((size.rows, seconds(size.rows, number) * by))
        size.learn(*seen[-1])
    return seen


@given(st.floats(1e-6, 1e-4), st.floats(0, 0.01), NOISE)
def test_batches_come_to_take_what_they_should(a_row: float, fixed: float, noise: list[float]) -> None:
    settled = batches(lambda rows, number: fixed + a_row * rows, noise)[20:]
    assert all(TARGET * 0.5 < seconds < TARGET * 1.4 for _, seconds in settled)


@given(st.floats(5e-6, 1e-5), st.floats(0, 0.003), NOISE)
def test_a_server_that_slows_down_gets_smaller_ones_at_once(a_row: float, fixed: float, noise: list[float]) -> None:
    seen = batches(lambda rows, number: fixed + a_row * rows * (1 if number < 30 else 10), noise)
    assert all(seconds < TARGET * 1.4 for _, seconds in seen[33:])


@given(st.floats(1e-8, 1e-5), st.floats(TARGET, 5 * TARGET), NOISE)
def test_what_is_far_away_gets_no_smaller_ones_for_it(a_row: float, fixed: float, noise: list[float]) -> None:
    seen = batches(lambda rows, number: fixed + a_row * rows, noise)
    assert min(rows for rows, _ in seen) > 50
