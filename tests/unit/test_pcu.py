from __future__ import annotations

import pytest

from agent.errors import ConfigError
from agent.scene.pcu import DEFAULT_ROAD, TABLES, table_for


def test_given_no_road_type_then_the_urban_table() -> None:
    table = table_for(None, {})
    assert table is TABLES[DEFAULT_ROAD]
    assert table.pcu({"car": 10, "motorcycle": 8, "bus": 1, "truck": 1, "person": 50, "bicycle": 3}) == 14.4


def test_given_a_table_of_the_configuration_then_it_comes_first() -> None:
    assert table_for("ring", {"ring": {"car": 1, "truck": 3}}).pcu({"truck": 2, "motorcycle": 9}) == 6
    assert table_for(DEFAULT_ROAD, {DEFAULT_ROAD: {"car": 2.0}}).pcu({"car": 1}) == 2


def test_given_an_unknown_road_then_the_known_ones_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'moon'.*ring.*urban-divided"):
        table_for("moon", {"ring": {"car": 1.0}})


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_counts_a_car_as_one_and_a_motorcycle_as_less(table: object) -> None:
    factors = table.factors  # type: ignore[attr-defined]
    assert factors["car"] == 1
    assert factors["motorcycle"] < 1 < factors["truck"]
