"""Whole flows of the unmodified official SDK: every order form, every Api class."""

from __future__ import annotations

import json
import time

import pytest

from tests.contract.running import Books, ThreadedVenue, eventually

lighter = pytest.importorskip("lighter", reason="lighter-sdk is not installed")
websockets = pytest.importorskip("websockets", reason="websockets is not installed")

pytestmark = [
    pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning"),
]

PARTNER = 123_457


@pytest.fixture(scope="module")
def house():
    with ThreadedVenue() as running:
        yield running


@pytest.fixture
def venue(house):
    return house.venue


@pytest.fixture
def books(venue):
    return Books(venue)


@pytest.fixture
async def signer(venue):
    owner = venue.accounts[0]
    client = lighter.SignerClient(
        url=venue.base_url,
        account_index=owner.account_index,
        api_private_keys={4: owner.api_keys[0].api_key_private_key},
    )
    yield client
    await client.close()


@pytest.fixture
async def api(venue):
    client = lighter.ApiClient(configuration=lighter.Configuration(host=venue.base_url))
    yield client
    await client.close()


@pytest.fixture
def token(signer):
    made, error = signer.create_auth_token_with_expiry(api_key_index=4)
    assert error is None
    return made


async def bought(signer, books, coi, base=1000):
    """Hold a long position."""
    _, _, error = await signer.create_market_order(
        market_index=0,
        client_order_index=coi,
        base_amount=base,
        avg_execution_price=books.price(104),
        is_ask=False,
    )
    assert error is None
    return await books.when(coi, "filled")


# ----------------------------------------------------------------------- trading


async def test_immediate_orders_trade_what_is_there_and_no_more(signer, books):
    for coi, percent, status, filled in (
        (11, 104, "filled", 1000),
        (12, 96, "canceled", 0),
    ):
        _, _, error = await signer.create_order(
            market_index=0,
            client_order_index=coi,
            base_amount=1000,
            price=books.price(percent),
            is_ask=False,
            order_type=signer.ORDER_TYPE_LIMIT,
            time_in_force=signer.ORDER_TIME_IN_FORCE_IMMEDIATE_OR_CANCEL,
            order_expiry=signer.DEFAULT_IOC_EXPIRY,
        )
        assert error is None

        def ended(coi=coi):
            order = books.order(coi)
            live = ("in-progress", "open")
            return order if order is not None and order.status not in live else None

        order = await eventually(ended)
        assert order.status.startswith(status)
        assert order.filled_base == filled


@pytest.mark.parametrize(
    ("form", "percents", "kind"),
    [
        ("create_sl_order", (93, 90), 2),
        ("create_sl_limit_order", (93, 92), 3),
        ("create_tp_order", (107, 105), 4),
        ("create_tp_limit_order", (107, 106), 5),
    ],
)
async def test_stops_and_take_profits_wait_for_the_mark_price(
    signer, books, form, percents, kind
):
    await bought(signer, books, 100 + kind)
    trigger, price = map(books.price, percents)
    _, _, error = await getattr(signer, form)(
        market_index=0,
        client_order_index=20 + kind,
        base_amount=1000,
        trigger_price=trigger,
        price=price,
        is_ask=True,
        reduce_only=True,
    )
    assert error is None
    order = await books.when(20 + kind, "pending")
    assert (order.order_type, order.trigger_price, order.price, order.is_tied) == (
        kind,
        trigger,
        price,
        True,
    )
    _, _, error = await signer.cancel_order(market_index=0, order_index=20 + kind)
    assert error is None
    await books.when(20 + kind, "canceled")


async def test_a_bracket_is_three_orders_that_end_together(signer, books):
    before = set(books.state.open_orders)
    child = {
        "MarketIndex": 0,
        "ClientOrderIndex": 0,
        "BaseAmount": 0,
        "IsAsk": 1,
        "TimeInForce": signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
        "ReduceOnly": 1,
        "OrderExpiry": -1,
    }
    orders = [
        {
            **child,
            "BaseAmount": 1000,
            "Price": books.price(96),
            "IsAsk": 0,
            "Type": signer.ORDER_TYPE_LIMIT,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
        },
        {
            **child,
            "Price": books.price(106),
            "Type": signer.ORDER_TYPE_TAKE_PROFIT_LIMIT,
            "TriggerPrice": books.price(107),
        },
        {
            **child,
            "Price": books.price(90),
            "Type": signer.ORDER_TYPE_STOP_LOSS_LIMIT,
            "TriggerPrice": books.price(92),
        },
    ]
    fields = [name for name, _ in lighter.signer_client.CreateOrderTxReq._fields_]
    _, _, error = await signer.create_grouped_orders(
        grouping_type=signer.GROUPING_TYPE_ONE_TRIGGERS_A_ONE_CANCELS_THE_OTHER,
        orders=[
            lighter.signer_client.CreateOrderTxReq(*(order[name] for name in fields))
            for order in orders
        ],
    )
    assert error is None
    await eventually(lambda: len(set(books.state.open_orders) - before) == 3)
    made = [books.state.open_orders[i] for i in set(books.state.open_orders) - before]
    parent = next(order for order in made if not order.parent_index)
    assert set(parent.to_trigger) == {o.order_index for o in made} - {
        parent.order_index
    }
    _, _, error = await signer.cancel_order(
        market_index=0, order_index=parent.order_index
    )
    assert error is None
    await eventually(lambda: set(books.state.open_orders) == before)


async def test_leverage_and_isolated_margin_are_kept(signer, books):
    size = books.state.ledger.size(0)
    if size:  # the margin mode changes only without a position
        _, _, error = await signer.create_market_order(
            market_index=0,
            client_order_index=31,
            base_amount=abs(size),
            avg_execution_price=books.price(96 if size > 0 else 104),
            is_ask=size > 0,
            reduce_only=True,
        )
        assert error is None
        await books.when(31, "filled")
    _, _, error = await signer.update_leverage(0, signer.ISOLATED_MARGIN_MODE, 4)
    assert error is None
    await eventually(lambda: 0 in books.state.ledger.allocated)
    assert books.state.initial_margin_fractions[0] == 2500
    await bought(signer, books, 32)
    before = books.state.ledger.allocated[0]
    _, _, error = await signer.update_margin(
        0, 50.0, signer.ISOLATED_MARGIN_ADD_COLLATERAL
    )
    assert error is None
    await eventually(lambda: books.state.ledger.allocated[0] == before + 50_000_000)


async def test_account_settings_are_kept(signer, books):
    _, _, error = await signer.update_account_config(1)
    assert error is None
    await eventually(lambda: books.state.trading_mode == 1)
    _, _, error = await signer.update_account_asset_config(3, 1)
    assert error is None


async def test_an_integrator_is_approved_paid_and_limited(signer, books, venue, api):
    """The partner has an account here, so what it earns can be counted."""
    partner = venue.exchange.accounts[PARTNER]
    earned = partner.ledger.collateral
    rising = {"integrator_account_index": PARTNER, "integrator_taker_fee": 500}

    async def order(coi, **fees):
        return await signer.create_market_order(
            market_index=0,
            client_order_index=coi,
            base_amount=1000,
            avg_execution_price=books.price(104),
            is_ask=False,
            **fees,
        )

    _, _, error = await order(41, **rising)
    assert "21149" in error or "not approved" in error
    _, _, error = await signer.approve_integrator(
        eth_private_key="0x" + "22" * 32,
        integrator_account_index=PARTNER,
        max_perps_taker_fee=500,
        max_perps_maker_fee=100,
        max_spot_taker_fee=0,
        max_spot_maker_fee=0,
        approval_expiry=int(time.time() * 1000) + 86_400_000,
    )
    assert error is None
    await eventually(lambda: PARTNER in books.state.integrators)
    _, _, error = await order(42, **{**rising, "integrator_taker_fee": 501})
    assert "invalid fee" in error
    _, _, error = await order(43, **rising)
    assert error is None
    filled = await books.when(43, "filled")
    expected = sum(
        (trade.quote * 500 + 500_000) // 1_000_000
        for trade in venue.ledger.trades(books.index)
        if trade.bid_client_order_index == 43
    )
    assert expected > 0
    assert partner.ledger.collateral == earned + expected
    assert partner.ledger.fees_paid == -expected, "what one paid the other got"
    stats = await lighter.AccountApi(api).partner_stats(account_index=PARTNER)
    assert float(stats.total_taker_fees_earned) == pytest.approx(expected / 1_000_000)
    assert stats.unique_clients == 1

    trades = await lighter.OrderApi(api).trades(
        sort_by="trade_id",
        limit=20,
        account_index=books.index,
        authorization=signer.create_auth_token_with_expiry(api_key_index=4)[0],
    )
    rows = [t for t in trades.trades if t.bid_id == filled.order_index]
    assert {
        (t.integrator_taker_fee, t.integrator_taker_fee_collector_index) for t in rows
    } == {(500, PARTNER)}

    _, _, error = await signer.approve_integrator(
        eth_private_key="0x" + "22" * 32,
        integrator_account_index=PARTNER,
        max_perps_taker_fee=0,
        max_perps_maker_fee=0,
        max_spot_taker_fee=0,
        max_spot_maker_fee=0,
        approval_expiry=0,
    )
    assert error is None
    await eventually(lambda: PARTNER not in books.state.integrators)


async def test_orders_are_sent_over_the_websocket(signer, books, venue):
    nonce = books.state.api_keys[4].nonce
    tx_type, tx_info, tx_hash, error = signer.sign_create_order(
        market_index=0,
        client_order_index=51,
        base_amount=1000,
        price=books.price(94),
        is_ask=0,
        order_type=signer.ORDER_TYPE_LIMIT,
        time_in_force=signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
        nonce=nonce,
        api_key_index=4,
    )
    assert error is None
    both = [
        signer.sign_modify_order(
            market_index=0,
            order_index=51,
            base_amount=2000,
            price=books.price(93),
            trigger_price=0,
            nonce=nonce + 1,
            api_key_index=4,
        ),
        signer.sign_cancel_order(0, 51, nonce=nonce + 2, api_key_index=4),
    ]
    async with websockets.connect(venue.ws_url) as socket:
        greeting = json.loads(await socket.recv())
        assert greeting["type"] == "connected"
        await socket.send(
            json.dumps(
                {
                    "type": "jsonapi/sendtx",
                    "data": {
                        "id": "one",
                        "tx_type": tx_type,
                        "tx_info": json.loads(tx_info),
                    },
                }
            )
        )
        answer = json.loads(await socket.recv())
        assert answer["id"] == "one"
        assert answer["code"] == 200
        assert answer["tx_hash"] == tx_hash
        await books.when(51, "open")
        await socket.send(
            json.dumps(
                {
                    "type": "jsonapi/sendtxbatch",
                    "data": {
                        "id": "two",
                        "tx_types": json.dumps([kind for kind, *_ in both]),
                        "tx_infos": json.dumps([info for _, info, *_ in both]),
                    },
                }
            )
        )
        answer = json.loads(await socket.recv())
        assert answer["code"] == 200
        assert answer["tx_hash"] == [tx_hash for _, _, tx_hash, _ in both]
    ended = await books.when(51, "canceled")
    assert (ended.initial_base, ended.price) == (2000, books.price(93))
    signer.nonce_manager.hard_refresh_nonce(4)


# ----------------------------------------------------------------------- reading


async def test_every_api_class_reads_its_part(api, books, token, venue):
    own = books.index
    account, orders = lighter.AccountApi(api), lighter.OrderApi(api)
    transactions, info = lighter.TransactionApi(api), lighter.InfoApi(api)
    candles, root = lighter.CandlestickApi(api), lighter.RootApi(api)
    now = int(time.time() * 1000)

    assert (await root.status()).status == 200
    assert (await root.info()).contract_address.startswith("0x")
    assert (await info.withdrawal_delay()).seconds >= 0
    assert (await info.transfer_fee_info(token, own)).code == 200
    assert (await lighter.AnnouncementApi(api).announcement()).announcements == []
    assert (await lighter.BlockApi(api).current_height()).height == pytest.approx(
        venue.exchange.height, abs=5
    )
    rates = await lighter.FundingApi(api).funding_rates()
    assert [rate.market_id for rate in rates.funding_rates] == [0]
    assert (await lighter.BridgeApi(api).deposit_networks()).networks == []
    assert (await lighter.ReferralApi(api).referral_points(token, own)).referrals == []

    bars = await candles.candles(
        market_id=0,
        resolution="1m",
        start_timestamp=now - 3_600_000,
        end_timestamp=now,
        count_back=5,
    )
    assert bars.c[-1].l <= bars.c[-1].h
    paid = await candles.fundings(
        market_id=0,
        resolution="1h",
        start_timestamp=now - 3_600_000,
        end_timestamp=now,
        count_back=5,
    )
    assert paid.resolution == "1h"

    keys = await account.apikeys(account_index=own)
    assert [key.api_key_index for key in keys.api_keys] == [4, 5]
    limits = await account.account_limits(account_index=own, authorization=token)
    assert limits.user_tier == venue.accounts[0].tier
    subs = await account.accounts_by_l1_address(books.owner.l1_address)
    assert [sub.index for sub in subs.sub_accounts] == [own]
    assert (await account.account_metadata(by="index", value=str(own))).code == 200
    assert (
        await account.liquidations(account_index=own, limit=5, authorization=token)
    ).liquidations == []

    assert [m.market_id for m in (await orders.order_books()).order_books] == [0]
    assert (await orders.exchange_stats()).total == 1
    assert (await orders.asset_details()).asset_details[0].symbol == "USDC"
    closed = await orders.account_inactive_orders(
        account_index=own, limit=50, authorization=token
    )
    assert {row.order_index for row in closed.orders} <= {
        order.order_index for order in venue.ledger.orders(own)
    }

    nonce = await transactions.next_nonce(own, 4)
    assert nonce.nonce == books.state.api_keys[4].nonce
    rows = await transactions.account_txs(
        limit=5, by="account_index", value=str(own), authorization=token
    )
    newest = rows.txs[0]
    told = await transactions.tx(by="hash", value=newest.hash)
    assert (told.hash, told.nonce) == (newest.hash, newest.nonce)
    in_block = await transactions.block_txs(
        by="block_height", value=str(newest.block_height)
    )
    assert newest.hash in {row.hash for row in in_block.txs}
    with pytest.raises(lighter.exceptions.BadRequestException, match="21500"):
        await transactions.tx_from_l1_tx_hash(hash="0x00")


async def test_a_notification_is_acknowledged(api, books, token, house):
    words = {"text": "hello"}
    told = house.ask(house.venue.announce, books.index, "announcement", words)
    answer = await lighter.NotificationApi(api).notification_ack(
        notif_id=told, account_index=books.index, authorization=token
    )
    assert answer.code == 200


async def test_a_read_only_token_from_the_sdk_reads_and_signs_nothing(
    api, books, token
):
    account = lighter.AccountApi(api)
    made = await account.tokens_create(
        name="dashboard",
        account_index=books.index,
        expiry=int(time.time()) + 2 * 86_400,
        sub_account_access=False,
        authorization=token,
    )
    orders = await lighter.OrderApi(api).account_active_orders(
        account_index=books.index, authorization=made.api_token
    )
    assert orders.code == 200
    listed = await account.tokens(books.index, authorization=token)
    assert [row.name for row in listed.api_tokens] == ["dashboard"]
    gone = await account.tokens_revoke(
        token_id=made.token_id, account_index=books.index, authorization=token
    )
    assert gone.revoked
    with pytest.raises(lighter.exceptions.UnauthorizedException):
        await lighter.OrderApi(api).account_active_orders(
            account_index=books.index, authorization=made.api_token
        )
