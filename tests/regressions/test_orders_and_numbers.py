"""D26 to D40: the order that leaves is the order that was meant."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy import InvalidOrderError, LighterDealer, UnknownMarketError, WsInfo
from wrappy._core.scaling import PriceRounding, price_to_ticks, size_to_lots
from wrappy.model import Market, OrderStatus, OrderType, Side, TimeInForce
from wrappy.protocol.intents import CreateOrder
from wrappy.signing.sdk import SdkSigner

ROOT = Path(__file__).resolve().parents[2]
SEND, DETAILS = "/api/v1/sendTx", "/api/v1/orderBookDetails"
ETH = Market("ETH", 0, 2, 4)


async def place(trader, price=1000, size=0.05, **kind):
    return (await trader.create_limit_order(price, size, **kind))["client_order_index"]


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


def infos(venue):
    return [tx.info for tx in venue.ledger.accepted()]


async def offer(dealer, venue, price=3000, size=-1):
    """Have the other account stand in the book."""
    maker = await dealer(venue, account=1)
    await place(maker, price, size)
    await maker.flush()
    return maker


async def place_without_number(venue, nonce):
    """Place an order as the exchange's own pages do: without a client order index."""
    account = venue.accounts[0]
    key = account.api_keys[1]
    signer = SdkSigner(
        key.api_key_private_key,
        account_index=account.account_index,
        api_key_index=key.api_key_index,
        chain_id=venue.chain_id,
    )
    order = CreateOrder(
        market_index=0,
        client_order_index=0,
        base_amount=500,
        price=100_000 + nonce,
        is_ask=False,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GOOD_TILL_TIME,
        order_expiry=int(time.time() * 1000) + 86_400_000,
    )
    tx = signer.sign(order, nonce=nonce)
    form = {"tx_type": str(int(tx.tx_type)), "tx_info": tx.tx_info}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.base_url}{SEND}", data=form) as response,
    ):
        assert response.status == 200, await response.text()


@pytest.mark.parametrize("symbol", ["PEPE", "DOESNOTEXIST", "", "ETHX"])
async def test_d26_an_unknown_symbol_trades_nothing(quiet_venue, config_for, symbol):
    with pytest.raises(UnknownMarketError) as caught:
        await LighterDealer.create(config_for(quiet_venue, symbol=symbol))
    assert "ETH" in str(caught.value), "what there is instead"
    owner = quiet_venue.accounts[0]
    key = owner.api_keys[0]
    with pytest.raises(UnknownMarketError):
        await WsInfo.run_overlay(
            owner.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol=symbol,
            base_url=quiet_venue.base_url,
        )
    assert not quiet_venue.ledger.accepted()


async def test_d27_scales_and_listings_are_those_of_the_moment(
    quiet_venue, dealer, relay_to
):
    async with (
        aiohttp.ClientSession() as session,
        session.get(quiet_venue.base_url + DETAILS) as response,
    ):
        details = json.loads(await response.text())
    listed = next(r for r in details["order_book_details"] if r["symbol"] == "ETH")
    listed.update(symbol="FRESH", price_decimals=3, size_decimals=3)
    relay = await relay_to(quiet_venue)
    relay.answer(DETAILS, details)
    trader = await dealer(relay, symbol="FRESH")
    answer = await trader.create_limit_order("200.1239", "1.23456")
    await trader.flush()
    assert (answer["price"], answer["size"]) == (Decimal("200.124"), Decimal("1.234"))
    (info,) = infos(quiet_venue)
    assert (info["Price"], info["BaseAmount"]) == (200_124, 1_234)


@given(
    ticks=st.integers(1, 10**9),
    part=st.fractions(0, 1, max_denominator=1000),
    lots=st.integers(1, 10**12),
    side=st.sampled_from(Side),
)
def test_d28_prices_round_as_chosen_and_sizes_never_grow(ticks, part, lots, side):
    exact = Fraction(ticks) + part
    price = Decimal(exact.numerator) / exact.denominator * ETH.tick_size

    def rounded(rounding):
        return price_to_ticks(price, ETH, side=side, rounding=rounding)

    near = rounded(PriceRounding.NEAREST)
    assert near == (exact + Fraction(1, 2)) // 1 or part.denominator % 2
    assert abs(near - exact) <= Fraction(1, 2)
    passive = rounded(PriceRounding.PASSIVE)
    assert passive >= exact if side.is_ask else passive <= exact
    assert abs(passive - exact) < 1
    sign = -1 if side.is_ask else 1
    size = sign * (lots + Decimal(part.numerator) / part.denominator) * ETH.lot_size
    assert size_to_lots(size, ETH) == sign * (lots + int(part == 1))


async def test_d29_a_market_order_without_a_price_is_bounded_by_the_book(
    quiet_venue, dealer
):
    maker = await offer(dealer, quiet_venue, 3000, -0.1)
    await place(maker, 3100, -1)
    await maker.flush()
    trader = await dealer(quiet_venue, slippage_bps=100)
    sent = await trader.create_market_order(0.5)
    coi = sent["client_order_index"]
    assert sent["price"] == Decimal(3030)
    await trader.wait_settled(coi)
    trades = quiet_venue.ledger.trades()
    quote = sum(trade.price * trade.base for trade in trades)
    base = sum(trade.base for trade in trades)
    assert quote <= 303_000 * base, "on average no worse than the bound"
    position = await trader.fetch_my_position()
    assert Decimal("0.1") <= position < Decimal("0.5"), "the rest is not bought"


async def test_d30_orders_that_cannot_flip_a_position_or_take_by_mistake(
    quiet_venue, dealer
):
    maker = await offer(dealer, quiet_venue)
    await place(maker, 2900, 1)
    await maker.flush()
    trader = await dealer(quiet_venue)
    bought = await trader.create_market_order(0.1, 3000)
    await trader.wait_settled(bought["client_order_index"])
    # Five times the position, and yet it ends flat.
    closing = await trader.create_market_order(-0.5, 2900, reduce_only=True)
    await trader.wait_settled(closing["client_order_index"])
    assert await trader.fetch_my_position() == 0

    crossing = await place(trader, 3000, 0.1, post_only=True)
    await trader.flush()
    receipt = await trader.wait_settled(crossing)
    assert receipt.reason
    assert await trader.fetch_my_position() == 0

    await place(trader, 1000, 0.1, expiry_s=600)
    await trader.create_bracket(2950, 0.1, take_profit=3300, stop_loss=2700)
    await trader.flush()
    timed, group = infos(quiet_venue)[-2:]
    sent_ms = quiet_venue.ledger.accepted()[-2].at_us / 1000
    assert timed["OrderExpiry"] - sent_ms == pytest.approx(600_000, abs=10_000)
    assert [order["ReduceOnly"] for order in group["Orders"]] == [0, 1, 1]


async def test_d31_a_market_order_answers_like_a_limit_order_and_can_be_followed(
    quiet_venue, dealer
):
    await offer(dealer, quiet_venue)
    trader = await dealer(quiet_venue)
    limit = await trader.create_limit_order(1000, 0.05)
    market = await trader.create_market_order(0.05, 3000)
    assert set(limit) <= set(market)
    coi = market["client_order_index"]
    await trader.wait_settled(coi)
    report = await trader.fetch_order(coi)
    assert (report.status, report.filled) == ("filled", Decimal("0.05"))
    assert market["tx_hash"] in {tx.tx_hash for tx in quiet_venue.ledger.accepted()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"price": 1001}, (100_100, 500)),
        ({"quantity": 0.06}, (100_000, 600)),
        ({"price": None, "quantity": "0.07"}, (100_000, 700)),
    ],
)
async def test_d32_a_change_keeps_what_it_does_not_name(
    quiet_venue, dealer, eventually, change, expected
):
    trader = await dealer(quiet_venue)
    coi = await place(trader)
    await trader.flush()
    await trader.update_order_by_coi(coi, **change)
    await trader.flush()
    await eventually(
        lambda: (
            [(o.price, o.initial_base) for o in quiet_venue.ledger.orders()]
            == [expected]
        )
    )
    with pytest.raises(InvalidOrderError):
        await trader.update_order_by_coi(coi)


DRAW = """
import sys
from wrappy.lighter.persistence.coi_store import coi_store
store = coi_store(sys.argv[1])
print(*[store.next() for _ in range(10_000)])
"""


async def drawn(trader, count):
    """Draw numbers for orders that are never sent."""
    numbers = []

    async def changes_its_mind():
        async with trader.batch():
            numbers.extend([await place(trader) for _ in range(count)])
            raise LookupError

    with pytest.raises(LookupError):
        await changes_its_mind()
    return numbers


async def test_d33_numbers_rise_and_never_repeat_in_one_process_or_two(
    quiet_venue, dealer, config_for
):
    trader = await dealer(quiet_venue)
    folder = config_for(quiet_venue).state_dir
    ours = await drawn(trader, 900)
    others = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", DRAW, folder), stdout=subprocess.PIPE, cwd=ROOT
        )
        for _ in range(2)
    ]
    for _ in range(6):
        ours += await drawn(trader, 900)
    told = [(await process.communicate())[0] for process in others]
    theirs = [[int(word) for word in text.split()] for text in told]
    ours += await drawn(trader, 900)
    for numbers in (ours, *theirs):
        assert numbers == sorted(numbers)
        assert 0 < numbers[0] <= numbers[-1] < 2**48
    everything = [number for numbers in (ours, *theirs) for number in numbers]
    assert len(set(everything)) == len(everything) == 8 * 900 + 20_000


async def test_d34_cancel_and_change_by_number_ask_nothing_first(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    coi = await place(trader)
    await trader.flush()
    before = len(relay.requests)
    await trader.update_order_by_coi(coi, price=1001)
    await trader.flush()
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    assert relay.paths()[before:] == [SEND, SEND]
    assert [info.get("Index") for info in infos(quiet_venue)] == [None, coi, coi]


async def test_d35_orders_without_a_number_stay_apart_and_a_bad_row_spoils_nothing(
    quiet_venue, dealer, caplog, eventually
):
    trader = await dealer(quiet_venue, unknown_orders="adopt")
    ours = await place(trader)
    await trader.flush()
    for nonce in (1, 2):
        await place_without_number(quiet_venue, nonce)
    await eventually(lambda: len(quiet_venue.ledger.orders()) == 3)
    rows = await trader.fetch_open_orders()
    apart = {row["order_index"] for row in rows if row["client_order_index"] == 0}
    assert len(apart) == 2
    assert trader.orders.get(0) is None, "0 is no number"

    row = next(row for row in rows if row["client_order_index"] == ours)
    broken = {**row, "initial_base_amount": "nan"}
    done = {**row, "status": "canceled", "updated_at": row["updated_at"] + 1}
    trader.feed_ws_orders([broken, {"market_index": 0}, None, done])
    assert trader.orders.get(ours).status is OrderStatus.CANCELED
    assert "unreadable" in caplog.text


def test_d36_memory_of_ended_orders_is_bounded(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        for _ in range(25):
            for step in range(60):
                await place(trader, 1000 + step)
            await trader.flush()
            await trader.cancel_all_orders()
            await asyncio.sleep(2)
            for order in exchange.ledger.orders()[-60:]:
                assert order.status == "canceled"
            await trader.fetch_ended_orders(100)
        assert len(created(exchange)) == 1_500
        assert len(trader.orders) <= 1_000
        assert not trader.orders.live()

    simulated(scenario)


async def test_d37_flat_is_zero_and_each_account_reads_its_own(
    quiet_venue, dealer, eventually
):
    maker = await offer(dealer, quiet_venue)
    trader = await dealer(quiet_venue)
    assert await trader.fetch_my_position() == Decimal(0)
    bought = await trader.create_market_order(0.2, 3000)
    await trader.wait_settled(bought["client_order_index"])
    assert await trader.fetch_my_position() == Decimal("0.2")
    assert await trader.fetch_my_position("eth") == Decimal("0.2")
    assert await trader.fetch_my_position("BTC") == Decimal(0)
    assert await maker.fetch_my_position() == Decimal("-0.2")
    with pytest.raises(UnknownMarketError):
        await trader.fetch_my_position("DOESNOTEXIST")
    balance = await trader.fetch_my_balance()
    assert {type(value) for value in balance.values()} == {Decimal}
    assert balance["collateral"] > 0


async def test_d38_arguments_beat_the_file_whatever_the_logger_brings(
    quiet_venue, config_for, tmp_path
):
    class Bot:
        def __init__(self, config):
            self.config = config
            self.lines = []

        def log_info(self, text):
            self.lines.append(text)

    settings = config_for(quiet_venue)
    key = settings.api_keys[0]
    section = {
        "base_url": settings.base_url,
        "account_index": settings.account_index,
        "api_key_index": key.api_key_index,
        "api_key_private_key": key.api_key_private_key,
        "symbol": "ETH",
        "max_ws_batch": 7,
        "state_dir": settings.state_dir,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"Lighter": section}), encoding="utf-8")
    path.chmod(0o600)
    bot = Bot({"Lighter": {**section, "symbol": "SOL", "max_ws_batch": 3}})
    async with await LighterDealer.from_config(
        path, symbol="BTC", logger=bot, prefer_high_level=True
    ) as trader:
        assert trader.market.symbol == "BTC"
        assert trader.config.max_ws_batch == 7
        await place(trader, 50_000)
        await trader.flush()
    assert any("dry run" in line for line in bot.lines)


async def test_d40_no_l1_key_is_needed_and_a_given_one_is_not_used(
    quiet_venue, dealer, config_for
):
    assert config_for(quiet_venue).l1_private_key is None
    trader = await dealer(quiet_venue, l1_private_key="0xc0ffee")
    await place(trader)
    await trader.flush()
    assert len(created(quiet_venue)) == 1
    assert "c0ffee" not in repr(trader.config)
