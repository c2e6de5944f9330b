"""The unmodified official SDK opens accounts, moves money, changes keys and tiers."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tests.contract.running import Books, ThreadedVenue, eventually
from wrappy.protocol.intents import CancelAllOrders
from wrappy.signing import PythonSigner
from wrappy.venue import VenueSettings
from wrappy.venue.transfers import FAST_BRIDGE

lighter = pytest.importorskip("lighter", reason="lighter-sdk is not installed")

USDC = 3
MEMO = "a" * 32
STRANGER_WALLET = "0x" + "4c" * 32


@pytest.fixture
def house():
    with ThreadedVenue(flow="none") as running:
        yield running


@pytest.fixture
def venue(house):
    return house.venue


@pytest.fixture
def owner(venue):
    return venue.accounts[0]


@pytest.fixture
async def client_for(venue):
    """Return a function that makes signing clients, closed in the end."""
    clients = []

    def made(account_index, slot, private_key):
        client = lighter.SignerClient(
            url=venue.base_url,
            account_index=account_index,
            api_private_keys={slot: private_key},
        )
        clients.append(client)
        return client

    yield made
    for client in clients:
        await client.close()


@pytest.fixture
async def signer(client_for, owner):
    key = owner.api_keys[0]
    return client_for(owner.account_index, 4, key.api_key_private_key)


@pytest.fixture
async def api(signer):
    client = signer.api_client
    return SimpleNamespace(
        account=lighter.AccountApi(client),
        bridge=lighter.BridgeApi(client),
        info=lighter.InfoApi(client),
        transactions=lighter.TransactionApi(client),
    )


@pytest.fixture
def token(signer):
    made, error = signer.create_auth_token_with_expiry(api_key_index=4)
    assert error is None
    return made


def money(venue, index):
    return venue.exchange.accounts[index].ledger.collateral


def valid(answer, model):
    """Check a body against the model, which the SDK itself does not."""
    model.model_validate(json.loads(answer.model_dump_json(by_alias=True)))
    return answer


async def accounts_of(api, owner):
    answer = await api.account.accounts_by_l1_address(owner.l1_address)
    valid(answer, lighter.models.SubAccounts)
    return {row.index: row.account_type for row in answer.sub_accounts}


async def executed(api, answer):
    async def told():
        return await api.transactions.tx(by="hash", value=answer.tx_hash)

    for _ in range(1_000):
        row = await told()
        if row.status >= 2:
            return json.loads(row.event_info).get("ae")
    raise AssertionError("it was never executed")


async def sub_account(signer, api, owner):
    _, answer, error = await signer.create_sub_account()
    assert error is None
    assert answer.code == 200
    for _ in range(1_000):
        found = await accounts_of(api, owner)
        if len(found) > 1:
            return next(i for i in found if i != owner.account_index)
    raise AssertionError("it never came")


async def test_a_sub_account_is_opened_paid_keyed_and_trades(
    signer, api, client_for, owner, venue
):
    index = await sub_account(signer, api, owner)
    assert await accounts_of(api, owner) == {owner.account_index: 0, index: 1}
    both = await api.account.account(by="l1_address", value=owner.l1_address)
    assert [row.index for row in both.accounts] == [owner.account_index, index]

    _, answer, error = await signer.transfer_same_master_account(
        to_account_index=index,
        asset_id=USDC,
        route_from=signer.ROUTE_PERP,
        route_to=signer.ROUTE_PERP,
        amount=1_000.5,
        fee=0,
        memo=MEMO,
    )
    assert error is None
    assert await executed(api, answer) is None
    assert money(venue, index) == 1_000_500_000

    private_key, public_key, error = lighter.create_api_key()
    assert error is None
    sub = client_for(index, 7, private_key)
    answer, error = await sub.change_api_key(
        eth_private_key=owner.l1_private_key, new_pubkey=public_key
    )
    assert error is None
    assert await executed(api, answer) is None
    assert sub.check_client() is None
    keys = await api.account.apikeys(account_index=index)
    assert [(k.api_key_index, k.nonce) for k in keys.api_keys] == [(7, 2)]

    _, answer, error = await sub.create_order(
        market_index=0,
        client_order_index=5,
        base_amount=100,
        price=300_000,
        is_ask=False,
        order_type=sub.ORDER_TYPE_LIMIT,
        time_in_force=sub.ORDER_TIME_IN_FORCE_POST_ONLY,
    )
    assert error is None
    assert await executed(api, answer) is None
    [order] = venue.ledger.orders(index)
    assert order.status == "open"


async def test_a_key_is_changed_and_what_the_old_one_signed_is_worth_nothing(
    api, client_for, owner, token
):
    private_key, public_key, _ = lighter.create_api_key()
    renewed = client_for(owner.account_index, 4, private_key)
    answer, error = await renewed.change_api_key(
        eth_private_key=owner.l1_private_key, new_pubkey=public_key
    )
    assert error is None
    assert await executed(api, answer) is None
    assert renewed.check_client() is None
    with pytest.raises(lighter.exceptions.UnauthorizedException, match="20013"):
        await api.account.account_limits(
            account_index=owner.account_index, authorization=token
        )
    # The official signer has one key for a slot, so the old one signs elsewhere.
    old = PythonSigner(
        owner.api_keys[0].api_key_private_key,
        account_index=owner.account_index,
        api_key_index=4,
        chain_id=304,
    ).sign(CancelAllOrders(), nonce=2)
    with pytest.raises(lighter.exceptions.BadRequestException, match="21120"):
        await api.transactions.send_tx(16, old.tx_info)
    _, _, error = await renewed.cancel_all_orders(time_in_force=0, timestamp_ms=0)
    assert error is None


async def test_nobody_elses_wallet_brings_a_key(client_for, owner, venue):
    private_key, public_key, _ = lighter.create_api_key()
    thief = client_for(owner.account_index, 9, private_key)
    with pytest.raises(lighter.exceptions.BadRequestException, match="21504"):
        await thief.change_api_key(
            eth_private_key=STRANGER_WALLET, new_pubkey=public_key
        )
    assert 9 not in venue.exchange.accounts[owner.account_index].api_keys


async def test_a_transfer_to_somebody_else_needs_the_wallet_and_its_fee(
    signer, api, owner, venue, token
):
    other = venue.accounts[1]
    ask = {
        "to_account_index": other.account_index,
        "asset_id": USDC,
        "route_from": signer.ROUTE_PERP,
        "route_to": signer.ROUTE_PERP,
        "amount": 25,
        "memo": MEMO,
    }
    fee = await api.info.transfer_fee_info(
        token, owner.account_index, to_account_index=other.account_index
    )
    assert fee.transfer_fee_usdc == 3_000_000

    _, _, error = await signer.transfer_same_master_account(**ask, fee=3_000_000)
    assert "21504" in error
    _, _, error = await signer.transfer(STRANGER_WALLET, **ask, fee=3_000_000)
    assert "21504" in error
    _, _, error = await signer.transfer(owner.l1_private_key, **ask, fee=0)
    assert "21134" in error
    before = money(venue, owner.account_index), money(venue, other.account_index)
    _, answer, error = await signer.transfer(
        owner.l1_private_key, **ask, fee=fee.transfer_fee_usdc
    )
    assert error is None
    assert await executed(api, answer) is None
    assert money(venue, owner.account_index) == before[0] - 28_000_000
    assert money(venue, other.account_index) == before[1] + 25_000_000

    history = await api.transactions.transfer_history(
        account_index=owner.account_index, authorization=token
    )
    [row] = valid(history, lighter.models.TransferHistory).transfers
    assert (row.type, row.amount, row.fee) == (
        "L2TransferOutflow",
        "25.000000",
        "3.000000",
    )
    assert (row.to_l1_address, row.tx_hash) == (other.l1_address, answer.tx_hash)


async def test_withdrawals_leave_both_ways(signer, api, owner, venue, token):
    before = money(venue, owner.account_index)
    _, answer, error = await signer.withdraw(
        asset_id=USDC, route_type=signer.ROUTE_PERP, amount=10
    )
    assert error is None
    assert await executed(api, answer) is None

    told = await api.bridge.fastwithdraw_info(token, owner.account_index)
    valid(told, lighter.models.RespGetFastwithdrawalInfo)
    assert told.to_account_index == FAST_BRIDGE
    nonce = (await api.transactions.next_nonce(owner.account_index, 4)).nonce
    address = "0x" + "12" * 20
    _, tx_info, tx_hash, error = signer.sign_transfer(
        owner.l1_private_key,
        FAST_BRIDGE,
        USDC,
        signer.ROUTE_PERP,
        signer.ROUTE_PERP,
        20_000_000,
        3_000_000,
        address + "00" * 12,
        nonce=nonce,
        api_key_index=4,
    )
    assert error is None
    done = await api.bridge.fastwithdraw(tx_info=tx_info, to_address=address)
    assert done.code == 200

    def gone():
        return len(venue.exchange.accounts[owner.account_index].profile.withdrawals) > 1

    await eventually(gone)
    assert money(venue, owner.account_index) == before - 33_000_000
    history = await api.transactions.withdraw_history(
        account_index=owner.account_index, authorization=token
    )
    rows = valid(history, lighter.models.WithdrawHistory).withdraws
    assert [(row.type, row.status, row.amount) for row in rows] == [
        ("fast", "completed", "20.000000"),
        ("secure", "claimable", "10.000000"),
    ]
    claimable = await api.transactions.withdraw_history(
        account_index=owner.account_index, authorization=token, filter="claimable"
    )
    assert [row.type for row in claimable.withdraws] == ["secure"]
    deposits = await api.transactions.deposit_history(
        account_index=owner.account_index,
        l1_address=owner.l1_address,
        authorization=token,
    )
    [deposit] = valid(deposits, lighter.models.DepositHistory).deposits
    assert (deposit.amount, deposit.status) == ("100000.000000", "completed")
    assert tx_hash


async def test_the_tier_changes_once_a_day(api, owner, token, venue):
    index = owner.account_index
    changed = await api.account.change_account_tier(
        account_index=index, new_tier="standard", authorization=token
    )
    assert changed.code == 200
    limits = await api.account.account_limits(account_index=index, authorization=token)
    valid(limits, lighter.models.AccountLimits)
    assert (limits.user_tier, limits.current_taker_fee_tick) == ("standard", 0)
    assert limits.user_tier_last_update > 1_600_000_000_000
    with pytest.raises(lighter.exceptions.BadRequestException, match="62006"):
        await api.account.change_account_tier(
            account_index=index, new_tier="premium", authorization=token
        )
    assert venue.exchange.accounts[index].tier.name == "standard"


async def test_a_maker_only_key_only_makes(signer, api, owner, token, venue):
    index = owner.account_index
    done = await api.account.set_maker_only_api_keys(
        account_index=index, api_key_indexes=json.dumps([4]), authorization=token
    )
    assert done.code == 200
    told = await api.account.get_maker_only_api_keys(
        account_index=index, authorization=token
    )
    assert told.api_key_indexes == [4]
    order = {
        "market_index": 0,
        "base_amount": 100,
        "price": 300_000,
        "is_ask": False,
        "order_type": signer.ORDER_TYPE_LIMIT,
    }
    _, _, error = await signer.create_order(
        **order,
        client_order_index=1,
        time_in_force=signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
    )
    assert "21511" in error
    _, _, error = await signer.create_order(
        **order,
        client_order_index=2,
        time_in_force=signer.ORDER_TIME_IN_FORCE_POST_ONLY,
    )
    assert error is None
    order = await Books(venue).when(2, "open")
    _, _, error = await signer.cancel_order(0, 2)
    assert error is None
    for slots, code in (("[3]", "21110"), ('["4"]', "20001"), ("4", "20001")):
        with pytest.raises(lighter.exceptions.BadRequestException, match=code):
            await api.account.set_maker_only_api_keys(
                account_index=index, api_key_indexes=slots, authorization=token
            )


async def test_a_fast_withdrawal_names_an_address(api):
    for address in ("0x12", "bank"):
        with pytest.raises(lighter.exceptions.BadRequestException, match="to_address"):
            await api.bridge.fastwithdraw(tx_info="{}", to_address=address)


@pytest.mark.parametrize(
    ("reading", "missing", "forged"),
    [("required", True, True), ("checked", False, True), ("ignored", False, False)],
)
async def test_readings_of_the_wallets_signature(reading, missing, forged):
    settings = VenueSettings(flow="none", symbols=("ETH",), l1_signatures=reading)
    with ThreadedVenue(settings=settings) as running:
        sender, receiver = running.venue.accounts
        client = lighter.SignerClient(
            url=running.venue.base_url,
            account_index=sender.account_index,
            api_private_keys={4: sender.api_keys[0].api_key_private_key},
        )
        route = client.ROUTE_PERP
        ask = (receiver.account_index, USDC, route, route, 5, 3_000_000, MEMO)
        _, _, error = await client.transfer_same_master_account(*ask)
        assert (error is not None) == missing
        _, _, error = await client.transfer(STRANGER_WALLET, *ask)
        assert (error is not None) == forged
        _, _, error = await client.transfer(sender.l1_private_key, *ask)
        assert error is None
        await client.close()
