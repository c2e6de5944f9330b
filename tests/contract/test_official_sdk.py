"""The unmodified official SDK against the local exchange: only URL and keys are set."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from wrappy.venue import Venue

# The SDK's generated clients and its WebSocket import are older than the interpreter;
# what they warn about is not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning"),
]

lighter = pytest.importorskip("lighter", reason="lighter-sdk is not installed")

DEADLINE_S = 10.0


class ThreadedVenue:
    """A venue on a loop of its own: the SDK's signer blocks its caller's thread."""

    def __init__(self):
        self.venue = Venue(seed=7, symbols=["ETH"])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(
            DEADLINE_S
        )

    def __enter__(self):
        self._thread.start()
        self.call(self.venue.start())
        return self.venue

    def __exit__(self, *_):
        self.call(self.venue.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()


@pytest.fixture(scope="module")
def venue():
    with ThreadedVenue() as running:
        yield running


@pytest.fixture
async def signer(venue):
    account = venue.accounts[0]
    client = lighter.SignerClient(
        url=venue.base_url,
        account_index=account.account_index,
        api_private_keys={
            key.api_key_index: key.api_key_private_key for key in account.api_keys
        },
    )
    yield client
    await client.close()


@pytest.fixture
async def api(venue):
    client = lighter.ApiClient(configuration=lighter.Configuration(host=venue.base_url))
    yield client
    await client.close()


def percent_of_mark(venue, percent):
    return venue.exchange.markets[0].mark_price * percent // 100


async def eventually(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the venue never saw it"
        await asyncio.sleep(0)
    return found


def own_order(venue, coi):
    return next(
        (
            order
            for order in venue.ledger.orders(venue.accounts[0].account_index)
            if order.client_order_index == coi
        ),
        None,
    )


def with_status(venue, coi, status):
    order = own_order(venue, coi)
    return order if order is not None and order.status == status else None


async def test_the_signer_finds_its_keys_registered(signer):
    assert signer.check_client() is None


async def test_a_post_only_order_rests_is_modified_and_cancelled(venue, signer):
    price = percent_of_mark(venue, 95)
    _, answer, error = await signer.create_order(
        market_index=0,
        client_order_index=11,
        base_amount=1000,
        price=price,
        is_ask=False,
        order_type=signer.ORDER_TYPE_LIMIT,
        time_in_force=signer.ORDER_TIME_IN_FORCE_POST_ONLY,
    )
    assert error is None
    assert answer.code == 200
    placed = await eventually(lambda: with_status(venue, 11, "open"))
    assert (placed.price, placed.initial_base, placed.is_ask) == (price, 1000, False)

    _, answer, error = await signer.modify_order(
        market_index=0,
        order_index=11,
        base_amount=2000,
        price=price + 1000,
        trigger_price=0,
    )
    assert error is None
    await eventually(lambda: own_order(venue, 11).price == price + 1000)
    assert own_order(venue, 11).remaining == 2000

    _, answer, error = await signer.cancel_order(market_index=0, order_index=11)
    assert error is None
    assert len(answer.tx_hash) == 80
    await eventually(lambda: with_status(venue, 11, "canceled"))


async def test_a_market_order_trades(venue, signer):
    _, _, error = await signer.create_market_order(
        market_index=0,
        client_order_index=12,
        base_amount=500,
        avg_execution_price=percent_of_mark(venue, 104),
        is_ask=False,
    )
    assert error is None
    filled = await eventually(lambda: with_status(venue, 12, "filled"))
    assert filled.filled_base == 500
    trades = venue.ledger.trades(venue.accounts[0].account_index)
    assert sum(t.base for t in trades if t.bid_client_order_index == 12) == 500


async def test_cancel_all_takes_everything_out(venue, signer):
    for coi in (21, 22):
        _, _, error = await signer.create_order(
            market_index=0,
            client_order_index=coi,
            base_amount=1000,
            price=percent_of_mark(venue, 94) + coi,
            is_ask=False,
            order_type=signer.ORDER_TYPE_LIMIT,
            time_in_force=signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
        )
        assert error is None
    await eventually(lambda: with_status(venue, 22, "open"))
    _, _, error = await signer.cancel_all_orders(
        time_in_force=signer.CANCEL_ALL_TIF_IMMEDIATE, timestamp_ms=0
    )
    assert error is None
    for coi in (21, 22):
        await eventually(lambda coi=coi: with_status(venue, coi, "canceled"))


async def test_a_batch_is_accepted_whole_and_executed_in_order(venue, signer, api):
    account_index = venue.accounts[0].account_index
    first = await lighter.TransactionApi(api).next_nonce(account_index, 5)
    types, infos = [], []
    for step, coi in enumerate((31, 32, 33)):
        tx_type, tx_info, _, error = signer.sign_create_order(
            market_index=0,
            client_order_index=coi,
            base_amount=1000,
            price=percent_of_mark(venue, 93) + coi,
            is_ask=0,
            order_type=signer.ORDER_TYPE_LIMIT,
            time_in_force=signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
            reduce_only=False,
            trigger_price=0,
            nonce=first.nonce + step,
            api_key_index=5,
        )
        assert error is None
        types.append(tx_type)
        infos.append(tx_info)
    answer = await signer.send_tx_batch(tx_types=types, tx_infos=infos)
    assert answer.code == 200
    assert len(answer.tx_hash) == 3
    orders = [
        await eventually(lambda coi=coi: with_status(venue, coi, "open"))
        for coi in (31, 32, 33)
    ]
    nonces = [order.nonce for order in orders]
    assert nonces == sorted(nonces, reverse=True), "bids count down"
    after = await lighter.TransactionApi(api).next_nonce(account_index, 5)
    assert after.nonce == first.nonce + 3


async def test_a_wrong_nonce_is_reported_as_the_sdk_expects(venue, signer):
    _, answer, error = await signer.create_order(
        market_index=0,
        client_order_index=41,
        base_amount=1000,
        price=percent_of_mark(venue, 92),
        is_ask=False,
        order_type=signer.ORDER_TYPE_LIMIT,
        time_in_force=signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
        nonce=999,
        api_key_index=5,
    )
    assert answer is None
    assert "invalid nonce" in error
    assert venue.ledger.refused()[-1].code == 21104


async def test_the_read_apis_answer_what_their_models_demand(venue, signer, api):
    account_index = venue.accounts[0].account_index
    orders = lighter.OrderApi(api)
    account = await lighter.AccountApi(api).account(
        by="index", value=str(account_index)
    )
    assert account.accounts[0].index == account_index
    details = await orders.order_book_details(market_id=0)
    assert details.order_book_details[0].symbol == "ETH"
    book = await orders.order_book_orders(market_id=0, limit=5)
    assert float(book.asks[0].price) > float(book.bids[0].price)
    trades = await orders.recent_trades(market_id=0, limit=5)
    ids = [trade.trade_id for trade in trades.trades]
    assert ids == sorted(ids, reverse=True)
    token, error = signer.create_auth_token_with_expiry(api_key_index=4)
    assert error is None
    active = await orders.account_active_orders(
        account_index=account_index, market_id=0, authorization=token
    )
    live = venue.exchange.accounts[account_index].open_orders
    assert {order.order_index for order in active.orders} == set(live)


async def test_the_stream_client_follows_book_and_account(venue):
    account_index = venue.accounts[0].account_index
    books, accounts = [], []
    client = lighter.WsClient(
        ws_url=venue.ws_url,
        order_book_ids=[0],
        account_ids=[account_index],
        on_order_book_update=lambda market, book: books.append((market, book)),
        on_account_update=lambda account, state: accounts.append((account, state)),
    )
    running = asyncio.create_task(client.run_async())
    try:
        await eventually(lambda: len(books) >= 3 and accounts)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.ws.close()
    assert books[0][0] == "0"
    assert accounts[0][0] == str(account_index)
    assert books[-1][1]["bids"]
