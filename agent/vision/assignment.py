"""Optimal assignment on a sparse graph: who goes with whom at the least total cost, where nobody must.

Only the pairs that are listed may match; a row may stay alone for a price. The answer is exact: shortest augmenting
paths with dual prices (Jonker and Volgenant 1987, Computing 38, 325-340). What row minima already decide, and in a
street that is nearly everything, is decided for all rows at once; only rows that want the same column are walked.
"""

from __future__ import annotations

import heapq
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

_NOBODY: Final = -1


def assign(rows: Ints, columns: Ints, costs: Array, alone_cost: float) -> tuple[Ints, Ints]:
    """Match rows with columns at the least total cost.

    Args:
        rows: Row of each pair that may match, shape (p,).
        columns: Its column, shape (p,). A pair is listed once.
        costs: Its cost, shape (p,), finite.
        alone_cost: Price of a row without a column; pairs that cost more are never made. Columns stay alone for free.

    Returns:
        Rows and columns that match, each of shape (k,), by rising row. Equal totals are decided by the order of rows
        and columns, so the same input always gives the same answer.
    """
    useful = costs < alone_cost
    rows, columns, costs = rows[useful], columns[useful], costs[useful]
    if not len(rows):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    order = np.lexsort((columns, costs, rows))
    rows, columns, costs = rows[order], columns[order], costs[order]
    named, first = np.unique(rows, return_index=True)
    wanted = columns[first]
    taken, winner = np.unique(wanted, return_index=True)
    if len(taken) < len(named):
        graph = _Graph(np.searchsorted(named, rows), columns, costs, first, alone_cost)
        wanted = graph.settle(winner, wanted)
    matched = wanted != _NOBODY
    return named[matched], wanted[matched]


class _Graph:
    """Rows numbered from 0, their pairs cheapest first, and the prices found so far."""

    def __init__(self, rows: Ints, columns: Ints, costs: Array, first: Ints, alone_cost: float) -> None:
        self._count = len(first)
        self._alone_cost = alone_cost
        self._start = [*first.tolist(), len(rows)]
        self._columns: list[int] = columns.tolist()
        self._costs: list[float] = costs.tolist()
        self._row_price: list[float] = costs[first].tolist()
        self._column_price: dict[int, float] = {}
        self._column_of = [_NOBODY] * self._count
        self._row_of: dict[int, int] = {}

    def settle(self, winners: Ints, wanted: Ints) -> Ints:
        """The column of every row, or -1: winners have what they want, the others go the cheapest way round."""
        for row in winners.tolist():
            column = int(wanted[row])
            self._column_of[row] = column
            self._row_of[column] = row
        for row in sorted(set(range(self._count)) - set(winners.tolist())):
            self._augment(row)
        return np.array(self._column_of, np.intp)

    def _augment(self, root: int) -> None:
        """Find the cheapest way to serve one more row, change the prices along it, and re-match along it.

        Dijkstra over reduced costs. A way ends at a free column, or at a row on the way that is better left alone.
        """
        distance: dict[int, float] = {}
        came_from: dict[int, int] = {}
        reached: list[tuple[float, int]] = []
        done: dict[int, None] = {}
        row, travelled = root, 0.0
        best_alone, alone_row = self._alone_distance(root, 0.0), root
        while True:
            self._relax(row, travelled, distance, came_from, reached, done)
            travelled, column = self._nearest(reached, done)
            if best_alone <= travelled:
                travelled, column = best_alone, _NOBODY
                break
            if column not in self._row_of:
                break
            done[column] = None
            row = self._row_of[column]
            alone = self._alone_distance(row, travelled)
            if alone < best_alone:
                best_alone, alone_row = alone, row
        self._reprice(root, done, distance, travelled)
        self._rematch(root, alone_row if column == _NOBODY else came_from[column], column, came_from)

    def _alone_distance(self, row: int, travelled: float) -> float:
        return travelled + self._alone_cost - self._row_price[row]

    def _relax(
        self,
        row: int,
        travelled: float,
        distance: dict[int, float],
        came_from: dict[int, int],
        reached: list[tuple[float, int]],
        done: dict[int, None],
    ) -> None:
        """Offer every column of a row the way through that row."""
        base = travelled - self._row_price[row]
        for pair in range(self._start[row], self._start[row + 1]):
            column = self._columns[pair]
            if column in done:  # settled; rounding must not reopen it
                continue
            there = base + self._costs[pair] - self._column_price.get(column, 0.0)
            if there < distance.get(column, float("inf")):
                distance[column] = there
                came_from[column] = row
                heapq.heappush(reached, (there, column))

    @staticmethod
    def _nearest(reached: list[tuple[float, int]], done: dict[int, None]) -> tuple[float, int]:
        """The nearest column not yet passed; infinitely far when there is none."""
        while reached:
            there, column = heapq.heappop(reached)
            if column not in done:
                return there, column
        return float("inf"), _NOBODY

    def _reprice(self, root: int, done: dict[int, None], distance: dict[int, float], travelled: float) -> None:
        """Keep every pair's reduced cost at or above zero, and at zero where matched."""
        self._row_price[root] += travelled
        for column in done:
            slack = travelled - distance[column]
            self._row_price[self._row_of[column]] += slack
            self._column_price[column] = self._column_price.get(column, 0.0) - slack

    def _rematch(self, root: int, row: int, column: int, came_from: dict[int, int]) -> None:
        """Give each row on the way back to the root the next column, from the way's end."""
        while True:
            previous = self._column_of[row]
            self._column_of[row] = column
            if column != _NOBODY:
                self._row_of[column] = row
            if row == root:
                return
            column, row = previous, came_from[previous]
