"""Where the price of the moment comes from."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy._core.stream import StreamState
from wrappy.errors import BookGapError, ConfigError, UsageError
from wrappy.lighter.trading.prices import ReferencePrices
from wrappy.model import Market, PriceLevel

ETH = Market("ETH", 0, 2, 4)
ASKED = Decimal(77)


class Account:
    """Answers for the exchange's book."""

    def __init__(self):
        self.questions = []

    async def best_price(self, market_index, *, of_asks):
        self.questions.append((market_index, of_asks))
        return ASKED


class Book:
    """A book with up to one level a side."""

    def __init__(self, bid, ask):
        self.best_bid = bid and PriceLevel(Decimal(bid), Decimal(1))
        self.best_ask = ask and PriceLevel(Decimal(ask), Decimal(1))


class BrokenBook:
    """A book between a gap and its snapshot."""

    @property
    def best_bid(self):
        raise BookGapError("gap")

    best_ask = best_bid


class Stream:
    """A stream as far as prices are concerned."""

    def __init__(self, book=None, ltp=None, state=StreamState.READY, market=ETH):
        self.market, self.state = market, state
        self._book, self._ltp = book, ltp

    def book(self, symbol=None):
        assert symbol in (None, "ETH")
        if isinstance(self._book, Exception):
            raise self._book
        return self._book

    def get_ltp(self):
        return self._ltp


def attached(*arguments, **changes):
    account = Account()
    prices = ReferencePrices(account, ETH)
    prices.attach(Stream(*arguments, **changes))
    return prices, account


async def test_without_a_stream_the_book_is_asked_for():
    prices = ReferencePrices(Account(), ETH)
    assert prices.known() is None
    assert await prices.opposite(buy=True) == ASKED


async def test_a_sound_book_answers_instead_of_the_exchange():
    prices, account = attached(Book(3999, 4001), ltp=Decimal(1))
    assert prices.known() == 4000
    assert await prices.opposite(buy=True) == 4001
    assert await prices.opposite(buy=False) == 3999
    assert account.questions == []


async def test_a_side_that_is_empty_or_a_book_with_a_gap_is_asked_for():
    for book in (Book(3999, None), BrokenBook()):
        prices, account = attached(book, ltp=Decimal(4002))
        assert await prices.opposite(buy=True) == ASKED
        assert account.questions == [(0, True)]
        assert prices.known() == 4002


async def test_a_stream_of_trades_tells_the_last_price_while_it_is_up():
    no_book = UsageError("trades only")
    prices, account = attached(no_book, ltp=Decimal(4002))
    assert await prices.opposite(buy=True) == 4002
    assert account.questions == []
    prices, account = attached(no_book, ltp=Decimal(4), state=StreamState.CONNECTING)
    assert prices.known() is None
    assert await prices.opposite(buy=False) == ASKED


async def test_a_stream_of_another_market_is_refused_and_a_detached_one_forgotten():
    prices, _ = attached(Book(3999, 4001))
    with pytest.raises(ConfigError, match="streams BTC"):
        prices.attach(Stream(market=Market("BTC", 1, 1, 5)))
    prices.attach(None)
    assert prices.known() is None
