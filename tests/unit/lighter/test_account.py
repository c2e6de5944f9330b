"""Questions about an account, with answers made up by a relay."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy import AuthRejectedError, ProtocolError, UnknownMarketError
from wrappy.lighter.account import AccountReader
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.link import ExchangeLink
from wrappy.lighter.token import TokenSource
from wrappy.signing.null import NullSigner
from wrappy.signing.worker import signing_thread

ACCOUNT = "/api/v1/account"


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay)


async def test_a_market_the_account_never_held_is_flat(wire):
    relay, trader = wire
    index = trader.config.account_index
    rows = [{"market_id": 1, "position": "3", "sign": 1}]
    for positions, size in ((None, 0), ([], 0), (rows, 0)):
        account = {"index": index, "positions": positions}
        relay.answer(ACCOUNT, {"code": 200, "accounts": [account]})
        assert await trader.fetch_my_position() == size
    short = {"market_id": 0, "position": "0.5", "sign": -1}
    account = {"index": index, "positions": [short]}
    relay.answer(ACCOUNT, {"code": 200, "accounts": [account]})
    assert await trader.fetch_my_position("ETH") == Decimal("-0.5")


async def test_an_answer_about_somebody_else_is_not_read(wire):
    relay, trader = wire
    relay.answer(ACCOUNT, {"code": 200, "accounts": [{"index": 1}]})
    with pytest.raises(ProtocolError, match="lacks account"):
        await trader.fetch_my_balance()


async def test_the_position_of_an_unknown_market_is_an_error(wire):
    _, trader = wire
    with pytest.raises(UnknownMarketError):
        await trader.fetch_my_position("NOSUCH")


async def test_own_trades_come_in_pages():
    asked = []

    class Rest:
        async def get(self, path, params, *, token):
            asked.append((path, params.get("cursor"), bool(token)))
            return {"trades": [{"trade_id": 1}], "next_cursor": "more"}

    signer = NullSigner(account_index=5, api_key_index=4, chain_id=304)
    reader = AccountReader(
        5,
        link=ExchangeLink(DealerConfig(base_url="http://127.0.0.1:1")),
        rest=Rest(),
        tokens=TokenSource(signer, signing_thread(), clock=lambda: 1_800_000_000.0),
    )
    rows, cursor = await reader.own_trades()
    assert (rows, cursor) == ([{"trade_id": 1}], "more")
    await reader.own_trades(cursor)
    assert asked == [("/api/v1/trades", None, True), ("/api/v1/trades", "more", True)]


async def test_a_token_that_was_refused_is_made_anew():
    # Made while the clock ran ahead it would count as good for days.
    now = [1_900_000_000.0]
    seen = []

    class Rest:
        async def get(self, path, _, *, token):
            seen.append(token)
            if len(seen) == 1:
                raise AuthRejectedError(20013, "invalid auth", path)
            return {"orders": [{"order_index": 1}], "next_cursor": "more"}

    signer = NullSigner(account_index=5, api_key_index=4, chain_id=304)
    reader = AccountReader(
        5,
        link=ExchangeLink(DealerConfig(base_url="http://127.0.0.1:1")),
        rest=Rest(),
        tokens=TokenSource(signer, signing_thread(), clock=lambda: now[0]),
    )
    with pytest.raises(AuthRejectedError):
        await reader.ended_orders()
    now[0] -= 3 * 86_400
    assert await reader.ended_orders("older") == ([{"order_index": 1}], "more")
    assert seen[0] != seen[1]
