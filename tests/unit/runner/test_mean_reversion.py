"""The example of mean reversion: its stop holds whatever became of an entry."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from wrappy.errors import RequestTimeoutError
from wrappy.model import Candle
from wrappy.runner.backtest import CandleData, run_backtest
from wrappy.runner.strategy import go_to_position

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "strategies"
sys.path.insert(0, str(FOLDER))

import mean_reversion  # noqa: E402

MINUTE_MS = 60_000
BEGIN_MS = 1_799_971_200_000


def falling():
    """Return candles that swing, drop far enough to be bought, and go on falling."""
    closes = [3_000 + at % 2 for at in range(30)]
    closes += [2_990 - 4 * at for at in range(40)]
    rows = [
        Candle(
            BEGIN_MS + at * MINUTE_MS,
            *(Decimal(price) for price in (first, max(first, last), min(first, last))),
            Decimal(last),
            Decimal(40),
            Decimal(0),
            0,
            True,
        )
        for at, (first, last) in enumerate(zip([3_000, *closes], closes, strict=False))
    ]
    return CandleData("ETH", "1m", rows)


@pytest.mark.parametrize("answered", [True, False])
def test_the_stop_ends_a_position_also_when_its_entry_had_no_answer(
    monkeypatch, answered
):
    answers = iter([answered])

    async def asked(ctx, target):
        held = await go_to_position(ctx, target)
        if not next(answers, True):
            raise RequestTimeoutError("no answer in time")
        return held

    monkeypatch.setattr(mean_reversion, "go_to_position", asked)
    tuned = mean_reversion.MeanReversionParameters(stop=0.02)
    run = run_backtest(lambda: mean_reversion.MeanReversion(tuned), falling())
    assert run.crashed is None
    bought, sold = (fill.quote / fill.size for fill in run.fills[:2])
    assert 0.02 <= 1 - sold / bought < 0.025
