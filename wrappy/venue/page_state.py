"""What the page of a local exchange shows, as JSON: no key and no token is in it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wrappy.protocol.codes import ORDER_TYPE_WORDS
from wrappy.protocol.intents import TxType
from wrappy.venue.account_events import (
    KeyRegistered,
    SubAccountOpened,
    TierChanged,
    Transferred,
    Withdrawn,
)
from wrappy.venue.events import (
    Announced,
    BalanceChanged,
    FaultFired,
    FundingPaid,
    Liquidated,
    OrderChanged,
    PositionChanged,
    TradeExecuted,
    TxAccepted,
    TxExecuted,
    TxRefused,
)
from wrappy.venue.ledger import canonical_text
from wrappy.venue.money_history import amount_text
from wrappy.venue.render import price_text, size_text, usdc_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event, Trade
    from wrappy.venue.faults import Faults
    from wrappy.venue.floor import Floor
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.sessions import Sessions
    from wrappy.venue.visits import Visits

LEVELS: Final = 10
OWN_LEVELS: Final = 3
TRADES: Final = 24
EVENTS: Final = 40
ACCOUNTS: Final = 12
ORDERS: Final = 40
COURSE_POINTS: Final = 240
"""How much of everything is shown at most."""
_TEXT_LENGTH: Final = 240
_PENDING: Final = "pending"


class _Told(NamedTuple):
    kind: str
    account: int | None
    text: str
    tone: str = ""


class PageState:
    """Reads an exchange floor for the page.

    Args:
        floor: what is shown.
        faults: rules in force.
        sessions: who is connected.
        visits: the last requests.
    """

    def __init__(
        self, floor: Floor, faults: Faults, sessions: Sessions, visits: Visits
    ) -> None:
        self._floor = floor
        self._faults = faults
        self._sessions = sessions
        self._visits = visits
        self._opened_us = floor.now_us()

    def read(self, market_index: int | None = None) -> dict[str, Any]:
        """Return everything that is shown.

        Args:
            market_index: market to show the book of; the first one when None, or
                when there is no such market.
        """
        floor = self._floor
        floor.catch_up()
        markets = floor.exchange.markets
        state = markets.get(-1 if market_index is None else market_index)
        users = [a for a in floor.exchange.accounts.values() if not a.is_flow]
        return {
            "venue": self._venue(),
            "markets": [_summary(one) for one in markets.values()],
            "market": _detail(state or next(iter(markets.values())), users),
            "accounts": [self._account(user) for user in users[:ACCOUNTS]],
            "account_count": len(users),
            "requests": self._visits.latest(),
            "events": [self._event(e) for e in self._latest_events()],
            "faults": [
                {
                    "handle": count.handle,
                    "act": count.rule.act,
                    "phase": count.rule.phase,
                    "where": count.rule.path or count.rule.channel or "*",
                    "matches": count.matches,
                    "firings": count.firings,
                }
                for count in self._faults.counts()
            ],
        }

    def _venue(self) -> dict[str, Any]:
        floor, settings = self._floor, self._floor.settings
        failure = floor.failure
        return {
            "now_us": floor.now_us(),
            "opened_us": self._opened_us,
            "height": floor.exchange.height,
            "chain_id": settings.chain_id,
            "seed": settings.seed,
            "tier": settings.tier,
            "flow": settings.flow,
            "verify": settings.verify,
            "enforce_limits": settings.enforce_limits,
            "connections": len(self._sessions.sessions),
            "requests": self._visits.count,
            "events": len(floor.exchange.log),
            "flow_trades": floor.exchange.log.flow_trades,
            # What broke it may quote anything: its kind has to do.
            "failure": None if failure is None else type(failure).__name__,
        }

    # ---------------------------------------------------------------- accounts

    def _account(self, account: Account) -> dict[str, Any]:
        statement = self._floor.statement(account)
        stats = statement.stats()
        orders = list(account.open_orders.values())
        return {
            "index": account.index,
            "tier": account.tier.name,
            "equity": usdc_text(statement.equity),
            "collateral": usdc_text(account.ledger.collateral),
            "available": usdc_text(statement.available),
            "margin_usage": stats["margin_usage"],
            "leverage": stats["leverage"],
            "nonces": {str(slot): key.nonce for slot, key in account.api_keys.items()},
            "positions": statement.positions(active_only=True),
            "assets": statement.assets(),
            "order_count": len(orders),
            "orders": [self._order(order) for order in orders[-ORDERS:][::-1]],
        }

    def _order(self, order: VenueOrder) -> dict[str, Any]:
        market = self._floor.exchange.markets[order.market_index].market
        trigger = order.trigger_price
        return {
            "order_index": order.order_index,
            "client_order_index": order.client_order_index,
            "market_id": order.market_index,
            "symbol": market.symbol,
            "side": "sell" if order.is_ask else "buy",
            "type": ORDER_TYPE_WORDS[order.order_type],
            "price": price_text(order.price, market),
            "trigger_price": price_text(trigger, market) if trigger else "",
            "initial": size_text(order.initial_base, market),
            "filled": size_text(order.filled_base, market),
            "status": order.status,
            "reduce_only": order.reduce_only,
        }

    # ------------------------------------------------------------------ events

    def _latest_events(self) -> Iterable[Event]:
        # A change of position or balance follows each trade: it would say everything
        # twice.
        telling = (
            event
            for event in self._floor.exchange.log.latest()
            if not isinstance(event, (PositionChanged, BalanceChanged))
        )
        return islice(telling, EVENTS)

    def _event(self, event: Event) -> dict[str, Any]:
        told = self._told(event)
        text = told.text[:_TEXT_LENGTH]
        return {"at_us": event.at_us, **told._asdict(), "text": text}

    def _told(self, event: Event) -> _Told:
        if isinstance(event, (TxAccepted, TxRefused, TxExecuted)):
            return _told_tx(event)
        if isinstance(event, OrderChanged):
            return self._told_order(event.order)
        if isinstance(event, TradeExecuted):
            return self._told_trade(event.trade)
        if isinstance(event, (FundingPaid, Liquidated)):
            return self._told_force(event)
        return _told_aside(event)

    def _told_force(self, event: FundingPaid | Liquidated) -> _Told:
        market = self._floor.exchange.markets[event.market_index].market
        if isinstance(event, FundingPaid):
            way, tone = ("got", "") if event.change >= 0 else ("paid", "bad")
            text = f"{way} {usdc_text(abs(event.change))} for {market.symbol}"
            return _Told("funding", event.account, text, tone)
        side = "long" if event.is_ask else "short"
        size, price = size_text(event.base, market), price_text(event.price, market)
        text = f"{event.kind}: {side} {size} {market.symbol} at {price}"
        return _Told("liquidated", event.account, text, "bad")

    def _told_order(self, order: VenueOrder) -> _Told:
        row = self._order(order)
        text = f"{row['side']} {row['initial']} {row['symbol']} at {row['price']}"
        partly = 0 < order.filled_base < order.initial_base
        filled = f", filled {row['filled']}" if partly else ""
        return _Told("order", order.owner, f"{text}: {order.status}{filled}")

    def _told_trade(self, trade: Trade) -> _Told:
        accounts = self._floor.exchange.accounts
        asks = not accounts[trade.ask_account].is_flow
        account = trade.ask_account if asks else trade.bid_account
        row = _trade(trade, self._floor.exchange.markets[trade.market_index], {account})
        role = "maker" if trade.is_maker_ask == asks else "taker"
        word, tone = ("sold", "sell") if asks else ("bought", "buy")
        market = self._floor.exchange.markets[trade.market_index].market
        text = f"{word} {row['size']} {market.symbol} at {row['price']} as {role}"
        if asks and not accounts[trade.bid_account].is_flow:
            text += f", to {trade.bid_account}"
        return _Told("trade", account, text, tone)


def _told_tx(event: TxAccepted | TxRefused | TxExecuted) -> _Told:
    word, account = _tx_word(event.tx_type), event.account
    if isinstance(event, TxAccepted):
        text = f"{word}, key {event.api_key_index}, nonce {event.nonce}"
        return _Told("accepted", account, text)
    if isinstance(event, TxExecuted) and event.succeeded and not event.code:
        return _Told("executed", account, word)
    kind = "refused" if isinstance(event, TxRefused) else "executed"
    # What was refused before it could be read has no type.
    text = f"{event.code} {event.message}"
    return _Told(kind, account, f"{word}: {text}" if event.tx_type else text, "bad")


def _told_money(event: Transferred | Withdrawn) -> _Told:
    amount = amount_text(event.asset, event.amount)
    if isinstance(event, Transferred):
        return _Told("transfer", event.sender, f"{amount} to {event.receiver}")
    return _Told("withdrawal", event.account, f"{amount} left")


def _told_account(event: SubAccountOpened | KeyRegistered | TierChanged) -> _Told:
    if isinstance(event, SubAccountOpened):
        return _Told("account", event.master, f"opened {event.account}")
    if isinstance(event, KeyRegistered):
        return _Told("key", event.account, f"slot {event.api_key_index}: new key")
    return _Told("tier", event.account, event.tier)


def _told_aside(event: Event) -> _Told:
    if isinstance(event, (Transferred, Withdrawn)):
        return _told_money(event)
    if isinstance(event, (SubAccountOpened, KeyRegistered, TierChanged)):
        return _told_account(event)
    if isinstance(event, FaultFired):
        text = f"{event.act} at {event.phase} of {event.where or 'the connection'}"
        return _Told("fault", event.account, f"{text} (rule {event.rule})", "fault")
    if isinstance(event, Announced):
        return _Told("notice", event.account, event.kind)
    return _Told(type(event).__name__, None, canonical_text(event))


# -------------------------------------------------------------------- markets


def _price(ticks: int | None, state: MarketState) -> str:
    return price_text(ticks, state.market) if ticks else ""


def _summary(state: MarketState) -> dict[str, Any]:
    day, engine = state.day, state.engine
    last = state.last_trade_price
    # Hundredths of a percent, to show and for nothing else.
    change = (last - day.open) * 10_000 // day.open if day.open and last else 0
    return {
        "market_id": state.index,
        "symbol": state.market.symbol,
        "mark": _price(state.mark_price, state),
        "index": _price(state.index_price, state),
        "last": _price(last, state),
        "bid": _price(engine.best_bid, state),
        "ask": _price(engine.best_ask, state),
        "high": _price(day.high, state),
        "low": _price(day.low, state),
        "volume": usdc_text(day.quote),
        "trades": day.count,
        "change_bp": change,
        "open_interest": size_text(state.open_interest, state.market),
    }


def _detail(state: MarketState, users: list[Account]) -> dict[str, Any]:
    market = state.market
    own: dict[tuple[bool, int], int] = {}
    for user in users:
        for order in user.open_orders.values():
            if order.market_index == state.index and order.status != _PENDING:
                key = (bool(order.is_ask), order.price)
                own[key] = own.get(key, 0) + order.remaining
    sides: dict[str, list[dict[str, str]]] = {}
    for name, is_ask in (("bids", False), ("asks", True)):
        sides[name] = [
            {
                "price": price_text(price, market),
                "size": size_text(
                    state.engine.level_size(is_ask=is_ask, price=price), market
                ),
                "own": size_text(own[is_ask, price], market)
                if (is_ask, price) in own
                else "",
            }
            for price in _shown(state, own, is_ask=is_ask)
        ]
    indices = {user.index for user in users}
    trades = list(state.trades)
    step = max(1, len(trades) // COURSE_POINTS)
    course = trades[::-step][::-1]
    since_us = course[0].at_us if course else 0
    fills = [
        trade
        for trade in trades
        if trade.at_us >= since_us and indices & {trade.ask_account, trade.bid_account}
    ]
    return {
        "market_id": state.index,
        "symbol": market.symbol,
        **sides,
        "trades": [_trade(one, state, indices) for one in trades[: -TRADES - 1 : -1]],
        "course": [[one.at_us, price_text(one.price, market)] for one in course],
        "fills": [
            [
                one.at_us,
                price_text(one.price, market),
                "sell" if one.ask_account in indices else "buy",
            ]
            for one in fills[-COURSE_POINTS:]
        ],
    }


def _shown(
    state: MarketState, own: dict[tuple[bool, int], int], *, is_ask: bool
) -> list[int]:
    best = list(islice(state.engine.prices(is_ask=is_ask), LEVELS))
    # What users rest deeper in the book is shown too, or they would look for it.
    deeper = sorted(
        (price for side, price in own if side == is_ask and price not in best),
        reverse=not is_ask,
    )
    return best + deeper[:OWN_LEVELS]


def _trade(trade: Trade, state: MarketState, users: set[int]) -> dict[str, Any]:
    parties = [trade.ask_account, trade.bid_account]
    return {
        "at_us": trade.at_us,
        "price": price_text(trade.price, state.market),
        "size": size_text(trade.base, state.market),
        "side": "buy" if trade.is_maker_ask else "sell",
        "accounts": [party for party in parties if party in users],
    }


def _tx_word(number: int) -> str:
    if number in TxType.__members__.values():
        return TxType(number).name.lower().replace("_", " ")
    return f"type {number}"
