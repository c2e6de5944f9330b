"""One market of an overlay that streams several."""

from __future__ import annotations

import pytest

from wrappy._core.stream import StreamState
from wrappy.lighter.streaming.one_market import OneMarket
from wrappy.protocol.markets import BUNDLED_MARKETS

ETH, BTC = BUNDLED_MARKETS[:2]


class Overlay:
    """Tells what it was asked for."""

    market = ETH
    state = StreamState.READY

    def book(self, symbol=None):
        return "book", symbol

    def get_ltp(self, symbol=None):
        return "ltp", symbol


@pytest.mark.parametrize("market", [ETH, BTC])
def test_it_tells_of_its_own_market_unless_another_is_named(market):
    one = OneMarket(Overlay(), market)
    assert one.market is market
    assert one.state is StreamState.READY
    assert one.book() == ("book", market.symbol)
    assert one.get_ltp() == ("ltp", market.symbol)
    assert one.book("SOL") == ("book", "SOL")
    assert one.get_ltp("SOL") == ("ltp", "SOL")
