"""The public calls as an editor sees them: type-checked, never run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from typing_extensions import assert_type

from wrappy import (
    AccountTransaction,
    Asset,
    BookGap,
    Candle,
    DealerConfig,
    HookStats,
    LighterDataStore,
    LighterDealer,
    MarketStats,
    Notification,
    SendOutcomeUnknownError,
    StreamState,
    Ticker,
    UserStats,
    WsInfo,
)
from wrappy.lighter.config import ApiKeyConfig
from wrappy.lighter.results import (
    CloseReport,
    DeadManState,
    Fill,
    FlushResult,
    GroupedOrders,
    MarginSetting,
    OrderReport,
    OrderResult,
)
from wrappy.lighter.ws import BookView
from wrappy.model import (
    Market,
    OrderStatus,
    Position,
    PriceLevel,
    Receipt,
    ReceiptStage,
    Side,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import aiohttp
    from pybotters.ws import ClientWebSocketResponse

    from wrappy.errors import InvalidOrderError, VenueError, WrappyError


async def dealer_calls() -> None:
    """Orders, batches, reads."""
    config = DealerConfig(
        base_url="http://127.0.0.1:8080",
        account_index=7,
        api_keys=(ApiKeyConfig(4, "00"),),
        symbol="ETH",
    )
    assert_type(await LighterDealer.create(config), LighterDealer)
    dealer = await LighterDealer.from_config("config.json", symbol="ETH")
    assert_type(dealer, LighterDealer)
    assert_type(dealer.market, Market)
    assert_type(dealer.config, DealerConfig)

    res = await dealer.create_limit_order(4050.0, -0.1, post_only=True)
    assert_type(res["client_order_index"], int)
    assert_type(res["price"], Decimal)
    coi = res["client_order_index"]
    await dealer.create_limit_order("4050.5", Decimal("0.1"), reduce_only=True)
    await dealer.enqueue_limit(4050, 1)
    await dealer.create_market_order(0.1)
    await dealer.create_market_order(-0.1, avg_execution_price=4000)
    await dealer.cancel_order_by_coi(coi)
    updated = await dealer.update_order_by_coi(coi, price=4051.0, quantity=0.2)
    assert_type(updated["status"], str)
    await dealer.cancel_order(1 << 48)
    await dealer.update_order(1 << 48, 4050.0, 0.1)

    flushed = await dealer.flush()
    assert_type(flushed["tx_hash"], list[str])
    assert_type(flushed["client_order_indices"], list[int | None])
    assert_type(dealer.receipt(coi), Receipt | None)
    receipt = await dealer.wait_settled(coi, timeout=2.0)
    assert_type(receipt, Receipt)
    assert_type(receipt.stage, ReceiptStage)
    assert_type(receipt.stage.is_settled, bool)
    assert_type(receipt.status, OrderStatus)
    assert_type(receipt.tx_hash, str | None)
    assert_type(receipt.filled, Decimal)
    assert_type(receipt.price, Decimal | None)
    assert_type(receipt.reason, str)
    assert_type(receipt.settled_at_s, float | None)
    batch = await dealer.batch_cancel_and_create(
        cancel_client_order_indices=[coi], new_limit_orders=[(4050.0, 0.1)]
    )
    assert_type(batch["created"], list[int])
    assert_type(batch["code"], int)

    async with dealer.batch() as batched:
        assert_type(batched, LighterDealer)
    async with dealer as entered:
        assert_type(entered, LighterDealer)

    assert_type(await dealer.fetch_open_orders(), list[dict[str, Any]])
    balance = await dealer.fetch_my_balance()
    assert_type(balance["available_balance"], Decimal)
    assert_type(await dealer.fetch_my_position("ETH"), Decimal)
    assert_type(await dealer.fetch_position_of(7, timeout_s=1.0), Decimal)
    await dealer.aclose()


async def kinds_of_orders(dealer: LighterDealer, ws: WsInfo) -> None:
    """Times in force, triggers, groups, slices, closing."""
    dealer.attach_prices(ws)
    dealer.attach_prices(None)
    ioc = await dealer.create_limit_order(4050, 1, time_in_force="ioc")
    assert_type(ioc, OrderResult)
    await dealer.create_limit_order(4050, 1, expiry_s=600, client_order_index=7)
    await dealer.create_limit_order(4050, 1, time_in_force="gtc")  # type: ignore[arg-type]
    await dealer.create_market_order(1, slippage_bps=20, client_order_index=8)

    stop = await dealer.create_stop_loss(3900, -0.1, slippage_bps=50)
    assert_type(stop["trigger_price"], Decimal)
    await dealer.create_take_profit("4200.5", -0.1, price=4199, expiry_s=86_400)
    await dealer.create_twap_order(Decimal(5), duration_s=3600, price=4100)

    bracket = await dealer.create_bracket(
        4050, 0.1, take_profit=4200, stop_loss=3900, stop_loss_price=3890
    )
    assert_type(bracket, GroupedOrders)
    assert_type(bracket.entry, int | None)
    assert_type(bracket.client_order_indices, tuple[int, ...])
    assert_type(
        await dealer.create_oco(-0.1, take_profit=4200, stop_loss=3900), GroupedOrders
    )
    assert_type(await dealer.create_oto(4050, 0.1, stop_loss=3900), GroupedOrders)

    report = await dealer.close_position(size=0.05, slippage_bps=30)
    assert_type(report, CloseReport)
    assert_type(report.after, Decimal)
    assert_type(report.is_flat, bool)
    assert_type(report.orders, tuple[Receipt, ...])


async def controls(dealer: LighterDealer) -> None:
    """Cancel-all, the dead man's switch, leverage, margin."""
    assert_type(await dealer.cancel_all_orders(everywhere=True), FlushResult)
    assert_type(await dealer.schedule_cancel_all(600), float)
    assert_type(await dealer.abort_scheduled_cancel(), FlushResult)
    state = await dealer.arm_dead_man(300)
    assert_type(state, DeadManState)
    assert_type(state.armed_until_s, float | None)
    assert_type(dealer.dead_man, DeadManState | None)
    await dealer.disarm_dead_man()
    setting = await dealer.set_leverage(5, margin_mode="isolated")
    assert_type(setting, MarginSetting)
    assert_type(setting.initial_margin_fraction, int)
    await dealer.set_leverage(initial_margin_fraction=500)
    assert_type(await dealer.change_margin("12.5", add=False), MarginSetting)
    assert_type(dealer.quota, int | None)
    dealer.on_foreign_nonce = stranger_seen
    dealer.acknowledge_foreign_nonce()
    await dealer.aclose(disarm=False)


def stranger_seen(count: int) -> None:
    """Take a count of foreign nonces, as a caller's own function would."""
    assert_type(count, int)


async def reads(dealer: LighterDealer) -> None:
    """What an account asks about itself."""
    assert_type(await dealer.fetch_open_orders(everywhere=True), list[dict[str, Any]])
    order = await dealer.fetch_order(7)
    assert_type(order, OrderReport | None)
    ended = await dealer.fetch_ended_orders(10, everywhere=True)
    assert_type(ended, list[OrderReport])
    assert_type(ended[0].side, Side)
    assert_type(ended[0].average_price, Decimal | None)
    fills = await dealer.fetch_my_trades(50, since_s=1.8e9)
    assert_type(fills, list[Fill])
    assert_type(fills[0].fee, Decimal)
    assert_type(await dealer.fetch_positions(), list[Position])


async def overlay_calls() -> None:
    """Streams, caches, hooks."""
    ws = await WsInfo.run_overlay(7, 4, "00", symbol="ETH")
    assert_type(ws, WsInfo)
    assert_type(await WsInfo.run_public_trades_simple("ETH"), WsInfo)
    loaded = await WsInfo.run_overlay_from_config(
        "config.json", overrides={"market_id": 0}
    )
    assert_type(loaded, WsInfo)

    assert_type(ws.get_ltp(), Decimal | None)
    assert_type(ws.get_recent_trades(10, public=True), list[dict[str, Any]])
    assert_type(await ws.get_order_by_coi(1), dict[str, Any] | None)
    assert_type(await ws.wait_order_by_coi(1, timeout=2.0), dict[str, Any] | None)
    assert_type(ws.positions, dict[str, Position])

    def on_orders(orders: list[dict[str, Any]]) -> None:
        dealer_feed(orders)

    async def on_trades(trades: list[dict[str, Any]]) -> None:
        dealer_feed(trades)

    ws.on_orders = on_orders
    ws.on_trades = on_trades
    ws.on_public_trades = None
    async with ws as entered:
        assert_type(entered, WsInfo)
    await ws.aclose()


async def several_markets() -> None:
    """Books, figures and candles of more than one market."""
    ws = await WsInfo.run_public_trades_simple(
        symbols=["ETH", "BTC"], watch=["ticker", "candles:1m"]
    )
    assert_type(ws.market, Market)
    book = ws.book("BTC")
    assert_type(book, BookView)
    assert_type(book.is_valid, bool)
    assert_type(book.best_bid, PriceLevel | None)
    assert_type(book.mid_price, Decimal | None)
    assert_type(book.micro_price, Decimal | None)
    assert_type(book.depth(5), tuple[list[PriceLevel], list[PriceLevel]])
    assert_type(book.age_s, float)

    stop = await ws.watch("market_stats", "BTC", timeout=5.0)
    assert_type(stop, Callable[[], None])
    stop()
    assert_type(ws.ticker("BTC"), Ticker)
    assert_type(ws.ticker().ask, PriceLevel | None)
    stats = ws.market_stats(symbol="ETH")
    assert_type(stats, MarketStats)
    assert_type(stats.mark_price, Decimal | None)
    assert_type(ws.candles("1m"), list[Candle])
    assert_type(ws.candles("1m", "BTC")[-1].closed, bool)
    assert_type(ws.get_ltp("BTC"), Decimal | None)
    ws.get_recent_trades(10, public=True, symbol="BTC")


async def account_and_connection(dealer: LighterDealer) -> None:
    """Figures of the account, states, hooks, wiring."""
    ws = await WsInfo.run_overlay(
        7,
        auth_token="ro:7:single:1900000000:00",
        symbol="ETH",
        watch=("assets",),
        ready_timeout=5.0,
        hook_timeout=2.0,
    )
    await ws.ready()
    await ws.ready(timeout=2.0)
    assert_type(ws.state, StreamState)
    assert_type(ws.connects, int)
    assert_type(ws.assets, Mapping[str, Asset])
    assert_type(ws.user_stats, UserStats)
    assert_type(ws.user_stats.leverage, Decimal | None)
    assert_type(ws.recent("transactions"), Sequence[object])
    ws.recent("candles")  # type: ignore[arg-type]

    async def on_gap(gap: BookGap) -> None:
        assert_type(gap.expected_nonce, int | None)

    def on_transactions(rows: list[AccountTransaction]) -> None:
        assert_type(rows[0].has_failed, bool)

    def on_notifications(rows: list[Notification]) -> None:
        assert_type(rows[0].content, Mapping[str, Any])

    ws.on_gap = on_gap
    ws.on_transactions = on_transactions
    ws.on_state = None
    assert_type(ws.add_hook("on_notifications", on_notifications), Callable[[], None])
    assert_type(ws.hook_stats, tuple[HookStats, ...])
    assert_type(ws.hook_failures, int)
    detach = ws.attach(dealer)
    assert_type(detach, Callable[[], None])
    detach()
    assert_type(ws.tap(lambda message: message.clear()), Callable[[], None])


def dealer_feed(rows: list[dict[str, Any]]) -> None:
    """Take rows, as a caller's own function would."""
    for row in rows:
        assert_type(row, dict[str, Any])


async def stores_of_pybotters(
    answer: Awaitable[aiohttp.ClientResponse], socket: ClientWebSocketResponse
) -> None:
    """Stores: reading, feeding, validity."""
    store = LighterDataStore(on_gap=gap_seen)
    store.onmessage({"type": "ping"}, socket)
    await store.initialize(answer, answer)
    assert_type(store.orders.find({"market_index": 0}), list[dict[str, Any]])
    assert_type(store.orders.get({"order_index": 1}), dict[str, Any] | None)
    assert_type(store.book.sorted(limit=5), dict[str, list[dict[str, Any]]])
    assert_type(store.book.is_valid(0), bool)
    assert_type(store.book.invalid_reason(0), str | None)
    for one in (store.positions, store.fills, store.trades, store.ticker):
        assert_type(len(one), int)
    with store.market_stats.watch() as stream:
        change = await stream.get()
        assert_type(change.data, dict[str, Any])
    store.lost("the hub is gone")
    assert_type(store.unreadable + store.refused + store.hook_failures, int)
    store.on_gap = None


def gap_seen(channel: str, reason: str) -> None:
    """Take a gap, as a caller's own function would."""
    assert_type(channel + reason, str)


def errors_as_seen(
    lost: SendOutcomeUnknownError, refused: VenueError, denied: InvalidOrderError
) -> None:
    """What a handler may ask of an exception."""
    assert_type(lost.client_order_indices, tuple[int, ...])
    assert_type(lost.tx_hashes, tuple[str, ...])
    assert_type(refused.code, int)
    assert_type(denied.field, str)
    base: WrappyError = lost
    assert_type(base.retryable, bool)
