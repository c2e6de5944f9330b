"""Where a user's order stands among the market's own, with hand-made market life."""

from __future__ import annotations

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import Account, ApiKey, open_accounts
from wrappy.venue.events import PrintTrade, SetLevel, Take, TradeExecuted
from wrappy.venue.exchange import Exchange
from wrappy.venue.settings import VenueSettings

ETH = Market("ETH", 0, 2, 4)
START_US = 1_800_000_000_000_000
ALICE = 100
MODELS = ("risk-averse", "prob", "front")


class Desk:
    """A market whose life is dictated, and one user in it."""

    def __init__(self, queue):
        settings = VenueSettings(queue=queue)
        accounts = open_accounts(settings, ())
        self.alice = accounts[ALICE] = Account(
            index=ALICE,
            l1_address=f"0x{ALICE:040x}",
            tier=TIERS["premium"],
            api_keys={4: ApiKey(4, "00" * 40, 1)},
            ledger=AccountLedger(collateral=10**12),
        )
        self.exchange = Exchange(settings, (ETH,), accounts, now_us=START_US)
        self.now_us = START_US
        self.live(SetLevel(0, True, 1_010, 500))

    def live(self, *actions):
        self.now_us += 1
        self.exchange.apply_flow(actions, now_us=self.now_us)

    def buy(self, base, price=1_000):
        slot = self.alice.api_keys[4]
        info = {
            "AccountIndex": ALICE,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": slot.nonce,
            "Sig": "",
            "L2TxAttributes": None,
            "MarketIndex": 0,
            "ClientOrderIndex": 0,
            "BaseAmount": base,
            "Price": price,
            "IsAsk": 0,
            "Type": 0,
            "TimeInForce": 1,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_us // 1_000 + 3_600_000,
        }
        self.exchange.submit(14, info, f"{slot.nonce:080x}", now_us=self.now_us)
        self.now_us += 1_000_000
        self.exchange.advance(self.now_us)

    def level(self, base, price=1_000):
        self.live(SetLevel(0, False, price, base))

    def take(self, base, price=1_000):
        self.live(Take(0, True, price, base, print_rest=True))

    def print(self, base, price=1_000):
        self.live(PrintTrade(0, True, price, base))

    @property
    def filled(self):
        return self.alice.ledger.size(0)

    def trades(self):
        told = self.exchange.drain()
        return [
            (e.trade.price, e.trade.base) for e in told if isinstance(e, TradeExecuted)
        ]


@pytest.mark.parametrize("hit", ["take", "print"])
@pytest.mark.parametrize(
    ("queue", "filled"), [("risk-averse", 0), ("prob", 25), ("front", 50)]
)
def test_cancels_and_trades_move_a_user_as_far_as_the_model_says(queue, filled, hit):
    desk = Desk(queue)
    desk.level(100)
    desk.buy(50)
    desk.level(200)  # a hundred before the user, a hundred behind
    desk.level(100)  # half of all that is gone
    getattr(desk, hit)(75)
    assert desk.filled == filled


@pytest.mark.parametrize("hit", ["take", "print"])
@pytest.mark.parametrize("queue", ["risk-averse", "prob"])
def test_trades_alone_bring_a_user_forward_in_the_cautious_models(queue, hit):
    desk = Desk(queue)
    desk.level(100)
    desk.buy(50)
    getattr(desk, hit)(100)
    assert desk.filled == 0
    getattr(desk, hit)(20)
    assert desk.filled == 20
    getattr(desk, hit)(500)
    assert desk.filled == 50


@pytest.mark.parametrize("queue", MODELS)
def test_what_is_left_of_a_level_never_lies_before_a_user_twice(queue):
    desk = Desk(queue)
    desk.level(100)
    desk.buy(50)
    desk.level(30)  # nothing behind: what goes can only be from before
    desk.print(80)
    assert desk.filled == 50


def test_the_proportions_lose_nothing_to_rounding():
    desk = Desk("prob")
    desk.level(3)
    desk.buy(5)
    desk.level(6)
    desk.buy(5)
    desk.level(10)
    desk.level(4)
    own = sum(order.remaining for order in desk.alice.open_orders.values())
    engine = desk.exchange.markets[0].engine
    assert engine.level_size(is_ask=False, price=1_000) == 4 + own
    desk.level(0)
    assert engine.level_size(is_ask=False, price=1_000) == own


def test_a_user_in_front_is_so_on_every_level_that_a_taker_reaches():
    desk = Desk("front")
    desk.level(100)
    desk.level(100, price=999)
    desk.buy(10, price=999)
    desk.take(105, price=999)
    assert desk.filled == 5
    assert desk.exchange.markets[0].engine.level_size(is_ask=False, price=999) == 105


@pytest.mark.parametrize("queue", MODELS)
def test_a_printed_trade_is_one_trade_whatever_the_level_is_made_of(queue):
    desk = Desk(queue)
    for base in (10, 25, 60):
        desk.level(base)
    desk.exchange.drain()
    desk.print(50)
    assert desk.trades() == [(1_000, 50)]
    assert desk.exchange.markets[0].engine.level_size(is_ask=False, price=1_000) == 10


def test_a_printed_trade_takes_back_what_the_market_showed_at_better_prices():
    desk = Desk("risk-averse")
    desk.level(40, price=1_001)
    desk.buy(7, price=1_001)
    desk.level(10)
    desk.exchange.drain()
    desk.print(12)
    assert desk.trades() == [(1_001, 7), (1_000, 5)]
    assert desk.exchange.markets[0].engine.depth()[0] == [(1_000, 5)]
    desk.level(40, price=1_001)  # and it can be shown again
    assert desk.exchange.markets[0].engine.best_bid == 1_001


def test_a_printed_trade_beyond_the_book_prints_whole():
    desk = Desk("risk-averse")
    desk.exchange.drain()
    desk.print(9, price=900)
    assert desk.trades() == [(900, 9)]
