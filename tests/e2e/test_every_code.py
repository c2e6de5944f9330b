"""Every code the local exchange answers with, by the smallest request, at both doors.

`CASES` has one row for each; the page of error codes is compared with it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from tests.desk import GTT, HOUR_MS, IOC, POST_ONLY, PRICE, Desk, at
from tests.doors import DOORS, play
from wrappy.errors import ConnectError
from wrappy.protocol.code_table import CODE_TABLE
from wrappy.protocol.tiers import TIERS, OrderCaps
from wrappy.signing import schnorr
from wrappy.signing.curve import limbs_from_bytes
from wrappy.signing.keys import secret_scalar
from wrappy.signing.transaction_hash import transaction_hash
from wrappy.venue import FaultRule
from wrappy.venue.events import HaltMarket
from wrappy.venue.limit_settings import StreamLimits

USDC = 1_000_000
FEE = 3 * USDC
COLLATERAL = 1_000 * USDC
DAY_S = 86_400
SPOT = 2_048
ETH_ASSET = 1
NEW_KEY = base64.b64encode(bytes(range(1, 41))).decode()
NO_KEY = base64.b64encode(bytes(40)).decode()
TOO_MUCH = 1 << 60


class Visitor(Desk):
    """Asks for anything, well or badly, and returns the code of the answer."""

    def index(self, account=0):
        return self.place.engine.accounts[account].account_index

    @property
    def address(self):
        return self.place.engine.exchange.accounts[self.index()].l1_address

    def info(self, tx_type, fields, *, account=None, key=4, ahead=0, **more):
        """Return a transaction without a signature, by its fields."""
        index = self.index() if account is None else account
        owner = self.place.engine.exchange.accounts.get(index)
        slot = owner.api_keys.get(key) if owner else None
        name = "FromAccountIndex" if tx_type in (12, 13) else "AccountIndex"
        told = {
            name: index,
            "ApiKeyIndex": key,
            "ExpiredAt": self.place.now_ms() + 599_000,
            "Nonce": (slot.nonce if slot else 1) + ahead,
            "Sig": "",
            "L2TxAttributes": None,
        }
        return {**told, **fields, **more}

    async def tx(self, tx_type, fields, **more):
        """Send a transaction; let it be carried out."""
        text = json.dumps(self.info(tx_type, fields, **more))
        form = {"tx_type": tx_type, "tx_info": text}
        answer = await self.place.post("sendTx", urlencode(form))
        await self.place.wait(1)
        return answer["code"]

    async def batch(self, *infos, types=None):
        """Send transactions together."""
        form = {
            "tx_types": json.dumps(types or [14] * len(infos)),
            "tx_infos": json.dumps([json.dumps(info) for info in infos]),
        }
        return (await self.place.post("sendTxBatch", urlencode(form)))["code"]

    def good(self, **changes):
        """Return the fields of a resting order that has nothing wrong."""
        return {
            "MarketIndex": 0,
            "ClientOrderIndex": 0,
            "BaseAmount": 500,
            "Price": PRICE - 2_000,
            "IsAsk": 0,
            "Type": 0,
            "TimeInForce": GTT,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.place.now_ms() + HOUR_MS,
            **changes,
        }

    def stop(self, **changes):
        """Return the fields of a stop that may sell at the market's price."""
        fields = {"Price": PRICE - 50_000, "IsAsk": 1, "Type": 2, "TimeInForce": IOC}
        return self.good(**{**fields, "TriggerPrice": PRICE - 9_000, **changes})

    async def create(self, *, attributes=None, key=4, **changes):
        return await self.tx(
            14, self.good(**changes), key=key, L2TxAttributes=attributes
        )

    async def transfer(self, to=None, amount=USDC, *, account=None, key=4, **changes):
        told = {
            "ToAccountIndex": self.index(1) if to is None else to,
            "AssetIndex": 3,
            "FromRouteType": 0,
            "ToRouteType": 0,
            "Amount": amount,
            "USDCFee": FEE,
            "Memo": [0] * 32,
        }
        return await self.tx(12, {**told, **changes}, account=account, key=key)

    async def withdraw(self, amount, **changes):
        fields = {"AssetIndex": 3, "RouteType": 0, "Amount": amount}
        return await self.tx(13, {**fields, **changes})

    async def group(self, kind, *orders):
        return await self.tx(28, {"GroupingType": kind, "Orders": list(orders)})

    async def leverage(self, market=0, fraction=500, mode=0):
        fields = {"MarketIndex": market, "InitialMarginFraction": fraction}
        return await self.tx(20, {**fields, "MarginMode": mode})

    async def margin(self, market=0, amount=USDC, direction=1):
        fields = {"MarketIndex": market, "USDCAmount": amount}
        return await self.tx(29, {**fields, "Direction": direction})

    async def cancel_all(self, mode=0, time_ms=0):
        return await self.tx(16, {"TimeInForce": mode, "Time": time_ms})

    async def sub_account(self, *, money=10 * USDC, key=True):
        """Open a sub-account, give it money and a key; return its index."""
        assert await self.tx(9, {}) == 200
        index = min(i for i in self.place.engine.exchange.accounts if i >= 1 << 47)
        if money:
            assert await self.transfer(index, money, USDCFee=0) == 200
        if key:
            assert await self.tx(8, {"PubKey": NEW_KEY}, account=index) == 200
        return index

    async def get(self, path, *, token=None, **query):
        return (await self.place.get(path, token, **query)).get("code", 200)

    async def ask(self, path, *, token=None, **form):
        """Post what only whoever has a token may."""
        form.setdefault("account_index", self.index())
        form["auth"] = token or self.place.token()
        return (await self.place.post(path, urlencode(form)))["code"]

    async def candles(self, **changes):
        query = {"market_id": 0, "resolution": "1m", "count_back": 1}
        query |= {"start_timestamp": 0, "end_timestamp": self.place.now_ms()}
        return await self.get("candles", **{**query, **changes})

    async def frames(self, *messages, wanted=1, query=""):
        """Send messages over one stream; return the code of its refusal, or 200."""
        stream, _ = await self.place.open_stream(query)
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message)
            await stream.send(text.encode())
        told = [json.loads(await stream.receive(5.0)) for _ in range(wanted)]
        refused = [frame["error"]["code"] for frame in told if "error" in frame]
        return refused[0] if refused else 200

    async def subscribe(self, *channels):
        told = [{"type": "subscribe", "channel": channel} for channel in channels]
        return await self.frames(*told, wanted=len(told))

    async def new_token(self, name="reader", life_s=2 * DAY_S, **more):
        expiry = self.place.now_ms() // 1_000 + life_s
        return await self.ask("tokens/create", name=name, expiry=expiry, **more)

    async def use(self, code, account=0):
        owner = self.index(account)
        address = self.place.engine.exchange.accounts[owner].l1_address
        return await self.ask(
            "referral/use",
            token=self.place.token(account),
            account_index=owner,
            referral_code=code,
            x="",
            l1_address=address,
        )


# ------------------------------------------------------------------------- accounts


async def wrong_signature(visitor):
    signed = visitor.place.signer().sign(visitor.wish(1, 500, PRICE), nonce=1)
    text = signed.tx_info.replace('"BaseAmount":500', '"BaseAmount":501')
    form = {"tx_type": 14, "tx_info": text}
    return (await visitor.place.post("sendTx", urlencode(form)))["code"]


async def no_wallet_signature(visitor):
    fields = {
        "ToAccountIndex": visitor.index(1),
        "AssetIndex": 3,
        "FromRouteType": 0,
        "ToRouteType": 0,
        "Amount": USDC,
        "USDCFee": FEE,
        "Memo": [0] * 32,
    }
    engine = visitor.place.engine
    info = visitor.info(12, fields)
    digest = transaction_hash(12, info, engine.chain_id)
    signature = schnorr.sign_with_point(
        secret_scalar(engine.accounts[0].api_keys[0].api_key_private_key),
        limbs_from_bytes(bytes.fromhex(digest)),
        schnorr.new_nonce_point(),
    )
    return await visitor.tx(12, {**fields, "Sig": base64.b64encode(signature).decode()})


async def key_of_an_empty_account(visitor):
    index = await visitor.sub_account(money=0, key=False)
    return await visitor.tx(8, {"PubKey": NEW_KEY}, account=index)


async def sub_account_of_a_sub_account(visitor):
    index = await visitor.sub_account()
    return await visitor.tx(9, {}, account=index)


async def a_ninth_sub_account(visitor):
    return [await visitor.tx(9, {}) for _ in range(9)][-1]


async def mode_with_locked_balance(visitor):
    assert await visitor.create(MarketIndex=SPOT) == 200
    return await visitor.tx(41, {"AccountTradingMode": 1})


async def fee_of_a_spot_transfer(visitor):
    spot = {"FromRouteType": 1, "ToRouteType": 1}
    return await visitor.transfer(amount=500 * USDC - 1, **spot)


async def money_that_is_margin(visitor):
    await visitor.long(3_000)
    return await visitor.transfer(amount=990 * USDC)


async def maker_only_key_takes(visitor):
    assert await visitor.ask("setMakerOnlyApiKeys", api_key_indexes="[4]") == 200
    assert await visitor.create(TimeInForce=POST_ONLY) == 200
    return await visitor.create()


async def margin_of_a_cross_position(visitor):
    await visitor.long()
    return await visitor.margin()


async def a_token_too_many(visitor):
    return [await visitor.new_token(name=f"n{number}") for number in range(11)][-1]


async def a_token_revoked_twice(visitor):
    await visitor.new_token()
    return [await visitor.ask("tokens/revoke", token_id=1) for _ in range(2)][-1]


async def tier_with_a_position(visitor):
    await visitor.long()
    return await visitor.ask("changeAccountTier", new_tier="plus")


async def tier_with_an_order(visitor):
    await visitor.create()
    return await visitor.ask("changeAccountTier", new_tier="plus")


async def tier_twice_a_day(visitor):
    names = ("plus", "standard")
    return [await visitor.ask("changeAccountTier", new_tier=n) for n in names][-1]


# --------------------------------------------------------------------------- orders


async def order_in_a_halted_market(visitor):
    exchange = visitor.place.engine.exchange
    exchange.apply_flow([HaltMarket(0, "closed")], now_us=visitor.place.now_us)
    return await visitor.create()


async def expired_order_changed(visitor):
    life = visitor.place.now_ms() + 301_000
    await visitor.create(ClientOrderIndex=1, OrderExpiry=life)
    await visitor.place.wait(302)
    fields = {"MarketIndex": 0, "Index": 1, "BaseAmount": 600, "Price": PRICE - 1_000}
    assert await visitor.tx(17, {**fields, "TriggerPrice": 0}) == 200
    # It was accepted, so the code stands in the transaction.
    index = visitor.index()
    query = {"by": "account_index", "value": index, "limit": 1}
    told = await visitor.place.get("accountTxs", visitor.place.token(), **query)
    told = json.loads(told["txs"][0]["event_info"])
    return json.loads(told["ae"])["code"]


async def second_schedule(visitor):
    when = visitor.place.now_ms() + HOUR_MS
    return [await visitor.cancel_all(1, when) for _ in range(2)][-1]


async def one_too_many(visitor, **changes):
    codes = [await visitor.create(**changes) for _ in range(2)]
    assert codes[0] == 200
    return codes[1]


async def one_stop_too_many(visitor):
    await visitor.long()
    return await one_too_many(visitor, **visitor.stop())


async def number_taken(visitor):
    return await one_too_many(visitor, ClientOrderIndex=7)


async def reduce_only_that_adds(visitor):
    await visitor.long()
    return await visitor.create(ReduceOnly=1)


async def group_of_two_markets(visitor):
    parent, child = visitor.good(), visitor.stop(BaseAmount=0, ReduceOnly=1)
    return await visitor.group(1, parent, {**child, "MarketIndex": 1})


# -------------------------------------------------------------------- limits, streams


async def reads_too_fast(visitor):
    codes = [await visitor.get("currentHeight") for _ in range(90)]
    assert codes[0] == 200
    return codes[-1]


async def withdrawals_too_fast(visitor):
    return [await visitor.withdraw(USDC) for _ in range(3)][-1]


async def connects_too_often(visitor):
    await visitor.place.open_stream()
    with pytest.raises(ConnectError) as refused:
        await visitor.place.open_stream()
    if "23003" in str(refused.value):
        return 23003
    # Of a handshake that failed the client tells the status; the body has the code.
    return await visitor.get("../../stream")


async def talks_while_others_wait(visitor):
    rule = FaultRule(act="delay", path="ping", delay_ms=200, times=1)
    visitor.place.engine.faults.add(rule)
    stream, _ = await visitor.place.open_stream()
    for _ in range(3):
        await stream.send(b'{"type":"ping"}')
    return json.loads(await stream.receive(5.0))["error"]["code"]


async def talks_too_much(visitor):
    return await visitor.frames({"type": "ping"}, {"type": "ping"}, wanted=2)


async def leaves_what_it_never_joined(visitor):
    return await visitor.frames({"type": "unsubscribe", "channel": "height"})


async def private_channel(visitor):
    return await visitor.subscribe(f"account_orders/0/{visitor.index()}")


# ------------------------------------------------------------------------ referrals


async def own_code(visitor):
    form = urlencode({"account_index": visitor.index(), "auth": visitor.place.token()})
    made = await visitor.place.post("referral/create", form)
    return made["referral_code"]


async def second_code(visitor):
    await own_code(visitor)
    return await visitor.ask("referral/create")


async def used_twice(visitor):
    code = await own_code(visitor)
    return [await visitor.use(code, account=1) for _ in range(2)][-1]


async def used_by_its_owner(visitor):
    return await visitor.use(await own_code(visitor))


async def kickback_twice(visitor):
    await own_code(visitor)
    path = "referral/kickback/update"
    return [await visitor.ask(path, kickback_percentage="5") for _ in range(2)][-1]


async def renamed_twice(visitor):
    await own_code(visitor)
    names = ("WINTER", "SUMMER")
    asked = [await visitor.ask("referral/update", new_referral_code=n) for n in names]
    return asked[-1]


async def code_of_a_sub_account(visitor):
    index = await visitor.sub_account()
    deadline = visitor.place.now_ms() // 1_000 + 600
    token = f"{deadline}:{index}:4:{'0' * 160}"
    return await visitor.ask("referral/create", token=token, account_index=index)


# ---------------------------------------------------------------------------- table

SPOT_TOO = {"symbols": ("ETH", "ETH/USDC"), "spot_balances": ("USDC=500", "ETH=1")}
SIGNED = {"verify": True}
COUNTED = {"enforce_limits": True}


def capped(**caps):
    """Return settings in which some cap on orders is one."""
    roomy = {
        "active_per_market": 9,
        "active_per_account": 9,
        "pending_per_market": 9,
        "pending_per_account": 9,
    }
    tier = replace(TIERS["premium"], caps=OrderCaps(**{**roomy, **caps}))
    return {"tiers": (tier,)}


def stream(**limits):
    """Return settings with such limits of the stream."""
    return {**COUNTED, "stream_limits": StreamLimits(**limits)}


CASES = {
    20001: lambda v: v.get("candles", market_id=0),
    20013: lambda v: v.get("accountActiveOrders", account_index=v.index()),
    21100: lambda v: v.get("account", by="index", value=999),
    21102: lambda v: v.tx(15, {"MarketIndex": 0, "Index": 1}, account=-1),
    21104: lambda v: v.tx(14, v.good(), ahead=1),
    21105: lambda v: v.batch(v.info(14, v.good()), v.info(14, v.good(), ahead=2)),
    21106: lambda v: v.transfer(to=999),
    21108: lambda v: v.tx(8, {"PubKey": NO_KEY}),
    21109: lambda v: v.create(key=77),
    21110: lambda v: v.create(key=255),
    21113: lambda v: v.leverage(fraction=1),
    21116: lambda v: v.withdraw(1),
    21117: lambda v: v.withdraw(TOO_MUCH),
    21118: lambda v: v.transfer(amount=1),
    21119: lambda v: v.transfer(amount=TOO_MUCH),
    21120: (wrong_signature, SIGNED),
    21121: lambda v: v.batch(v.info(14, v.good()), v.info(14, v.good(), key=5)),
    21123: (
        lambda v: v.ask("setMakerOnlyApiKeys", api_key_indexes="[4]"),
        {"tier": "standard"},
    ),
    21124: lambda v: v.transfer(ToRouteType=7),
    21126: key_of_an_empty_account,
    21128: sub_account_of_a_sub_account,
    21129: a_ninth_sub_account,
    21132: (mode_with_locked_balance, SPOT_TOO),
    21134: lambda v: v.create(attributes={"2": 10}),
    21149: lambda v: v.create(attributes={"1": 77, "2": 10}),
    21300: (
        lambda v: v.transfer(
            amount=10_001, AssetIndex=ETH_ASSET, FromRouteType=1, ToRouteType=1
        ),
        SPOT_TOO,
    ),
    21301: lambda v: v.transfer(amount=COLLATERAL),
    21304: (lambda v: v.create(MarketIndex=SPOT, BaseAmount=9_000), SPOT_TOO),
    21305: (fee_of_a_spot_transfer, SPOT_TOO),
    21400: lambda v: v.get("block", by="height", value=10**9),
    21401: lambda v: v.get("block", by="height", value=-1),
    21500: lambda v: v.get("tx", by="hash", value="no such hash"),
    21501: lambda v: v.tx(14, {**v.good(), "Surprise": 1}),
    21504: (no_wallet_signature, SIGNED),
    21505: lambda v: v.tx(99, v.good()),
    21508: money_that_is_margin,
    21511: maker_only_key_takes,
    21513: lambda v: v.batch(v.info(14, v.good()), types=[14, 14]),
    21514: lambda v: v.batch(*[v.info(14, v.good())] * 16),
    21515: lambda v: v.get("faucet", l1_address=v.address),
    21600: (
        lambda v: v.tx(15, {"MarketIndex": 0, "Index": 1}),
        {"gone_order": "refuse"},
    ),
    21602: lambda v: v.create(MarketIndex=99),
    21605: order_in_a_halted_market,
    21613: margin_of_a_cross_position,
    21614: lambda v: v.margin(),
    21615: lambda v: v.margin(direction=5),
    21618: (lambda v: v.tx(14, v.stop(MarketIndex=SPOT)), SPOT_TOO),
    21621: (lambda v: v.leverage(market=SPOT), SPOT_TOO),
    21700: lambda v: v.tx(15, {"MarketIndex": 0, "Index": 0}),
    21701: lambda v: v.create(BaseAmount=0),
    21702: lambda v: v.create(Price=0),
    21703: lambda v: v.create(IsAsk=2),
    21704: lambda v: v.create(Type=7),
    21705: lambda v: v.create(Type=1),
    21706: lambda v: v.create(BaseAmount=1),
    21709: expired_order_changed,
    21711: lambda v: v.create(OrderExpiry=v.place.now_ms() + 1_000),
    21712: (second_schedule, {"second_schedule": "refuse"}),
    21713: lambda v: v.cancel_all(mode=9),
    21714: lambda v: v.cancel_all(mode=1, time_ms=v.place.now_ms() + 1_000),
    21717: (one_too_many, capped(active_per_account=1)),
    21718: (one_too_many, capped(active_per_market=1)),
    21719: (one_stop_too_many, capped(pending_per_account=1)),
    21720: (one_stop_too_many, capped(pending_per_market=1)),
    21727: lambda v: v.create(ClientOrderIndex=1 << 48),
    21728: number_taken,
    21729: lambda v: v.create(TriggerPrice=PRICE),
    21732: lambda v: v.create(ReduceOnly=1),
    21733: (lambda v: v.create(Price=PRICE * 2), {"price_bands": "limit"}),
    21734: (
        lambda v: v.create(Price=PRICE * 97 // 100),
        {"price_bands": "limit", "mark_band_percent": 2},
    ),
    21735: (
        lambda v: v.tx(14, v.stop(Type=3, TimeInForce=GTT)),
        {"price_bands": "limit"},
    ),
    21738: reduce_only_that_adds,
    21739: lambda v: v.create(BaseAmount=30_000_000),
    21740: (lambda v: v.create(MarketIndex=SPOT, ReduceOnly=1), SPOT_TOO),
    21741: lambda v: v.group(9, v.good(), v.stop()),
    21742: lambda v: v.group(3, v.good(), v.stop()),
    21743: group_of_two_markets,
    21802: lambda v: v.tx(42, {"AssetIndex": 3, "AssetMarginMode": 5}),
    21805: (lambda v: v.transfer(AssetIndex=ETH_ASSET), SPOT_TOO),
    21809: lambda v: v.get("assetDetails", asset_id=999),
    22400: lambda v: v.candles(start_timestamp=2, end_timestamp=1),
    22401: lambda v: v.candles(start_timestamp=-1),
    22402: lambda v: v.candles(resolution="7m"),
    22403: (lambda v: v.candles(), {"candle_range": 10}),
    23000: (reads_too_fast, COUNTED),
    23001: (lambda v: v.subscribe("height", "trade/0"), stream(subscriptions=1)),
    23002: (
        lambda v: v.subscribe(*(f"account_all/{v.index(n)}" for n in (0, 1))),
        stream(accounts=1),
    ),
    23003: (connects_too_often, stream(connects_per_minute=1)),
    23004: (withdrawals_too_fast, COUNTED),
    29404: lambda v: v.get("nowhere"),
    30000: lambda v: v.frames("{"),
    30001: lambda v: v.frames({"type": "dance"}),
    30002: leaves_what_it_never_joined,
    30003: lambda v: v.subscribe("height", "height"),
    30005: lambda v: v.subscribe("nowhere/0"),
    30006: lambda v: v.frames(
        {"type": "jsonapi/sendtx", "data": {}}, query="?readonly=true"
    ),
    30007: lambda v: v.frames({"type": "jsonapi/sendtx", "data": 7}),
    30009: (talks_too_much, stream(messages_per_minute=1)),
    30010: (talks_while_others_wait, stream(in_flight=1)),
    41001: second_code,
    41003: used_twice,
    41006: lambda v: v.use("NOBODYS"),
    41007: lambda v: v.use(""),
    41008: kickback_twice,
    41009: renamed_twice,
    41010: lambda v: v.ask("referral/update", new_referral_code="no"),
    41011: code_of_a_sub_account,
    41012: used_by_its_owner,
    61001: lambda v: v.new_token(life_s=60),
    61002: lambda v: v.new_token(life_s=11 * 365 * DAY_S),
    61003: a_token_too_many,
    61004: lambda v: v.new_token(scopes="write.*"),
    61005: lambda v: v.ask("tokens/revoke", token_id=9),
    61006: a_token_revoked_twice,
    61007: lambda v: v.new_token(name=""),
    61008: lambda v: v.new_token(name="n" * 999),
    61009: lambda v: v.new_token(name="a/b"),
    62002: lambda v: v.ask("changeAccountTier", new_tier="gold"),
    62003: lambda v: v.ask("changeAccountTier", new_tier="premium"),
    62004: tier_with_a_position,
    62005: tier_with_an_order,
    62006: tier_twice_a_day,
}
"""What provokes each code: the request, and settings that it needs."""

for picked in (21707, 21708, 21715):
    reading = {"gone_order": "refuse", "gone_order_code": picked}
    CASES[picked] = (CASES[21600][0], reading)
for picked in (30004, 30012):
    CASES[picked] = (private_channel, {"stream_auth_code": picked})


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("code", CASES)
def test_a_code_is_answered_to_the_smallest_request_that_deserves_it(door, code):
    case = CASES[code]
    request, settings = case if isinstance(case, tuple) else (case, {})
    assert at(door, request, desk=Visitor, **settings) == code


@pytest.mark.parametrize("door", DOORS)
def test_what_breaks_inside_is_answered_with_a_code_too(door):
    told = []

    async def scenario(place):
        visitor = Visitor(place)
        stream, _ = await place.open_stream()
        place.engine.exchange.markets[0].engine = None
        told.append(await visitor.get("orderBookOrders", market_id=0, limit=1))
        await stream.send(b'{"type":"ping"}')
        told.append(json.loads(await stream.receive(5.0))["error"]["code"])

    with pytest.raises(AttributeError):
        play(door, scenario, symbols=("ETH",))
    assert told == [29500, 29500]


def test_no_row_is_about_a_code_that_nobody_documents():
    # 21149 has been seen by other clients and is not in the list.
    assert set(CASES) - set(CODE_TABLE) == {21149}
