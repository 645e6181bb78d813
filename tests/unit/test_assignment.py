"""Assignment: exact, sparse, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.vision.assignment import assign

Dense = NDArray[np.float64]


def solve(dense: Dense, alone_cost: float) -> dict[int, int]:
    """Match the finite entries of a table."""
    rows, columns = np.nonzero(np.isfinite(dense))
    matched, found = assign(rows, columns, dense[rows, columns], alone_cost)
    assert len(set(matched.tolist())) == len(matched)
    assert len(set(found.tolist())) == len(found)
    return dict(zip(matched.tolist(), found.tolist(), strict=True))


def total(dense: Dense, match: dict[int, int], alone_cost: float) -> float:
    return sum(float(dense[row, column]) for row, column in match.items()) + alone_cost * (len(dense) - len(match))


def least_total(dense: Dense, alone_cost: float, row: int = 0, used: frozenset[int] = frozenset()) -> float:
    """By trying everything."""
    if row == len(dense):
        return 0.0
    best = alone_cost + least_total(dense, alone_cost, row + 1, used)
    for column in range(dense.shape[1]):
        if column not in used and dense[row, column] < alone_cost:
            rest = least_total(dense, alone_cost, row + 1, used | {column})
            best = min(best, float(dense[row, column]) + rest)
    return best


@pytest.mark.parametrize("seed", range(200))
def test_given_any_small_table_then_the_total_is_the_least_there_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, 2).tolist())
    # Whole numbers in every other table make ties, which are where such solvers go wrong.
    dense = rng.integers(-3, 8, shape).astype(np.float64) if seed % 2 else rng.normal(0.0, 3.0, shape)
    dense[rng.random(shape) < 0.3] = np.inf
    match = solve(dense, 3.0)
    assert total(dense, match, 3.0) == pytest.approx(least_total(dense, 3.0))


def test_given_no_pairs_then_nobody_matches() -> None:
    rows, columns = assign(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0), 1.0)
    assert len(rows) == len(columns) == 0


def test_given_only_pairs_dearer_than_staying_alone_then_nobody_matches() -> None:
    assert solve(np.array([[5.0]]), 5.0) == {}


def test_given_everybody_wants_somebody_else_then_everybody_gets_them() -> None:
    assert solve(np.array([[0.0, 4.0], [4.0, 0.0]]), 9.0) == {0: 0, 1: 1}


def test_given_two_rows_want_one_column_then_the_one_with_the_better_way_out_moves() -> None:
    assert solve(np.array([[1.0, 2.0], [1.0, 8.0]]), 9.0) == {0: 1, 1: 0}


def test_given_a_chain_of_wants_then_the_whole_chain_shifts() -> None:
    far = np.inf
    dense = np.array([[0.0, 1.0, far], [0.0, 0.0, 1.0], [far, 0.0, 5.0]])
    assert solve(dense, 9.0) == {0: 0, 1: 2, 2: 1}


def test_given_too_few_columns_then_the_row_that_loses_least_stays_alone() -> None:
    assert solve(np.array([[1.0], [0.0], [2.0]]), 3.0) == {1: 0}


def test_given_a_late_row_needs_a_column_more_then_the_holder_is_left_alone() -> None:
    # Row 0 wins the column by its place in the order; row 1 gains more from it.
    assert solve(np.array([[0.0], [0.0]]), 2.0) == {0: 0}
    far = np.inf
    assert solve(np.array([[0.0, far], [-1.0, 1.9]]), 2.0) == {1: 0}


def test_given_equal_totals_then_the_answer_is_always_the_same() -> None:
    dense = np.zeros((4, 3))
    rows, columns = np.nonzero(dense == 0.0)
    shuffled = np.random.default_rng(1).permutation(len(rows))
    first = assign(rows, columns, dense[rows, columns], 1.0)
    second = assign(rows[shuffled], columns[shuffled], dense[rows, columns][shuffled], 1.0)
    np.testing.assert_array_equal(first, second)


def test_given_a_crowd_where_all_neighbours_compete_then_the_prices_prove_it_best() -> None:
    """No swap of two and no move to a free column lowers the total."""
    rng = np.random.default_rng(5)
    here = rng.random((120, 2)) * 100
    there = here + rng.normal(0.0, 6.0, (120, 2))
    dense = np.hypot(*(here[:, None] - there[None]).transpose(2, 0, 1))
    dense[dense > 25.0] = np.inf
    match = solve(dense, 25.0)
    for one, mine in match.items():
        for other, theirs in match.items():
            assert dense[one, mine] + dense[other, theirs] <= dense[one, theirs] + dense[other, mine] + 1e-9
        for column in set(range(120)) - set(match.values()):
            assert dense[one, mine] <= dense[one, column] + 1e-9
