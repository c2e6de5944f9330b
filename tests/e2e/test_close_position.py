"""Closing a position: never too much, never turned over, and seen to be done."""

from __future__ import annotations

import time
from decimal import Decimal

import aiohttp
import pytest

from wrappy import InvalidOrderError, TransportError, UsageError
from wrappy.model import OrderStatus
from wrappy.venue.events import SetIndexPrice, SetLevel

BID, ASK = 399_990, 400_010


@pytest.fixture
def market(quiet_venue):
    """Quote both sides around 4000, as deep as asked."""

    def show(lots: int = 10_000_000, *, bid: int = BID, ask: int = ASK) -> None:
        quiet_venue.exchange.apply_flow(
            [
                SetIndexPrice(0, 400_000),
                SetLevel(0, False, bid, lots),
                SetLevel(0, True, ask, lots),
            ],
            now_us=time.time_ns() // 1000,
        )

    show()
    return show


@pytest.fixture
async def trader(quiet_venue, market, dealer):
    return await dealer(quiet_venue)


async def held(trader, size):
    answer = await trader.create_market_order(size)
    await trader.wait_settled(answer["client_order_index"])
    assert await trader.fetch_my_position() == Decimal(str(size))


@pytest.mark.parametrize("size", [0.1, -0.1])
async def test_a_position_is_closed_and_the_report_says_so(trader, quiet_venue, size):
    await held(trader, size)
    report = await trader.close_position()
    assert (report.before, report.after) == (Decimal(str(size)), 0)
    assert report.is_flat
    assert report.closed == Decimal("0.1")
    (receipt,) = report.orders
    assert receipt.status in (OrderStatus.FILLED, OrderStatus.SENT)
    last = quiet_venue.ledger.accepted()[-1].info
    assert (last["ReduceOnly"], last["BaseAmount"]) == (1, 1000)


async def test_flat_means_no_order_and_no_book(trader, quiet_venue):
    report = await trader.close_position()
    assert (report.before, report.orders, report.is_flat) == (0, (), True)
    assert not quiet_venue.ledger.accepted()


async def test_a_part_is_closed_and_more_than_there_is_never(trader, quiet_venue):
    await held(trader, 0.3)
    part = await trader.close_position(size=0.1)
    assert (part.after, part.is_flat) == (Decimal("0.2"), False)
    rest = await trader.close_position(size="50")
    assert rest.is_flat
    assert quiet_venue.ledger.accepted()[-1].info["BaseAmount"] == 2000


async def test_a_position_that_shrank_meanwhile_is_not_turned_over(
    trader, quiet_venue, relay_to, dealer
):
    await held(trader, 0.3)
    relay = await relay_to(quiet_venue)
    other = await dealer(relay)
    # What it reads is older than what is there.
    index = trader.config.account_index
    stale = [{"market_id": 0, "position": "0.9", "sign": 1}]
    relay.answer(
        "/api/v1/account",
        {"code": 200, "accounts": [{"index": index, "positions": stale}]},
    )
    report = await other.close_position()
    assert (report.before, report.after) == (Decimal("0.9"), 0)
    assert await trader.fetch_my_position() == 0


async def test_a_book_that_is_too_thin_leaves_a_rest_and_the_report_says_so(
    trader, market
):
    await held(trader, 0.3)
    market(0)
    market(500, bid=BID - 10, ask=ASK + 10)
    report = await trader.close_position(slippage_bps=0)
    assert report.after > 0
    assert not report.is_flat


async def test_what_is_above_the_limit_for_one_order_goes_in_several(
    quiet_venue, trader, dealer, relay_to
):
    await held(trader, 0.3)
    relay = await relay_to(quiet_venue)
    path = "/api/v1/orderBookDetails"
    async with (
        aiohttp.ClientSession() as session,
        session.get(quiet_venue.base_url + path) as response,
    ):
        details = await response.json()
    for row in details["order_book_details"]:
        row["order_quote_limit"] = "500.000000"
    relay.answer(path, details)
    limited = await dealer(relay)
    report = await limited.close_position()
    assert report.is_flat
    assert len(report.orders) == 3
    sizes = [tx.info["BaseAmount"] for tx in quiet_venue.ledger.accepted()[-3:]]
    assert sum(sizes) == 3000


async def test_wrong_arguments_are_named_before_anything_is_asked(trader, quiet_venue):
    for arguments, field in (
        ({"size": 0}, "size"),
        ({"size": "x"}, "size"),
        ({"slippage_bps": 10_001}, "slippage_bps"),
        ({"slippage_bps": 1.5}, "slippage_bps"),
        ({"timeout_s": -1}, "timeout_s"),
    ):
        with pytest.raises(InvalidOrderError) as caught:
            await trader.close_position(**arguments)
        assert caught.value.field == field
    assert not quiet_venue.ledger.accepted()


async def test_inside_a_batch_it_is_out_of_place(trader):
    async with trader.batch():
        with pytest.raises(UsageError, match="close_position inside batch"):
            await trader.close_position()


async def test_a_close_that_cannot_go_out_stays_behind_nowhere(
    quiet_venue, market, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    await held(trader, 0.1)
    relay.lose_request("/api/v1/sendTx", times=1)
    with pytest.raises(TransportError):
        await trader.close_position()
    sent = len(quiet_venue.ledger.accepted())
    assert (await trader.close_position()).is_flat
    # The doubt was settled with the same bytes; the second close found it done,
    # or closed what was left.
    assert len(quiet_venue.ledger.accepted()) <= sent + 2
    assert await trader.fetch_my_position() == 0


async def test_a_dry_run_closes_nothing_and_says_so(quiet_venue, trader, dealer):
    await held(trader, 0.1)
    sent = len(quiet_venue.ledger.accepted())
    dry = await dealer(quiet_venue, prefer_high_level=True)
    report = await dry.close_position()
    assert (report.before, report.after) == (Decimal("0.1"), Decimal("0.1"))
    (receipt,) = report.orders
    assert receipt.reason == "dry run"
    assert len(quiet_venue.ledger.accepted()) == sent
