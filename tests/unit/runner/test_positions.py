"""What going to a position and a backtest's capital refuse before anything is asked."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest

from wrappy.errors import ConfigError, InvalidOrderError
from wrappy.runner.backtest import BacktestSettings
from wrappy.runner.strategy import go_to_position
from wrappy.runner.virtual_time import run_virtual


@pytest.mark.parametrize("target", [Decimal("NaN"), Decimal("-Infinity"), 0.5, None])
def test_a_target_that_is_no_finite_decimal_is_refused_by_name(target):
    with pytest.raises(InvalidOrderError, match="target"):
        run_virtual(partial(go_to_position, None, target))


@pytest.mark.parametrize("capital", ["NaN", "Infinity", "-1", "0"])
def test_capital_that_is_no_money_is_refused_by_name(capital):
    with pytest.raises(ConfigError, match="capital"):
        BacktestSettings(capital=Decimal(capital))
