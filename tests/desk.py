"""A market of two levels that a test moves, and orders at it, through either door."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from tests.doors import play
from wrappy.protocol.intents import CreateOrder
from wrappy.venue.events import SetIndexPrice, SetLevel, Take

IOC, GTT, POST_ONLY = 0, 1, 2
PRICE = 300_000
HOUR_MS = 3_600_000
DEEP = 100_000


class Desk:
    """Accounts at a market of two levels, which the test moves."""

    def __init__(self, place):
        self.place = place
        self.levels = []

    def quote(self, price, lots=DEEP, gap=100):
        """Put the market around a price; 0 lots leave it empty."""
        gone = [SetLevel(0, is_ask, level, 0) for is_ask, level in self.levels]
        self.levels = [(False, price - gap), (True, price + gap)] if lots else []
        new = [SetLevel(0, is_ask, level, lots) for is_ask, level in self.levels]
        acts = [*gone, SetIndexPrice(0, price), *new]
        if lots:
            acts.append(Take(0, True, price - gap, 1))
        self.place.engine.exchange.apply_flow(acts, now_us=self.place.now_us)

    def wish(self, coi, lots, price=PRICE, **more):
        tif = more.pop("tif", GTT)
        kind = more.pop("kind", 0)
        waits = kind in (2, 3, 4, 5, 6)
        expiry = self.place.now_ms() + more.pop("life_ms", HOUR_MS)
        return CreateOrder(
            *(0, coi, abs(lots), price, lots < 0, kind, tif),
            order_expiry=expiry if tif or waits else 0,
            **more,
        )

    async def send(self, wish, account=0, extra=None):
        """Send, and let it be carried out; return the code."""
        signer = self.place.signer(account)
        query = {
            "account_index": signer.account_index,
            "api_key_index": signer.api_key_index,
        }
        nonce = (await self.place.get("nextNonce", **query))["nonce"]
        signed = signer.sign(wish, nonce=nonce)
        text = signed.tx_info
        if extra:
            text = json.dumps({**json.loads(text), "L2TxAttributes": extra})
        form = {"tx_type": int(signed.tx_type), "tx_info": text}
        answer = await self.place.post("sendTx", urlencode(form))
        await self.place.wait(1)
        return answer["code"]

    async def order(self, coi, account=0):
        """Return an order as the account reads it."""
        token = self.place.token(account)
        index = self.place.engine.accounts[account].account_index
        query = {"account_index": index, "market_id": 0, "limit": 50}
        live = await self.place.get("accountActiveOrders", token, **query)
        gone = await self.place.get("accountInactiveOrders", token, **query)
        rows = [*live["orders"], *gone["orders"]]
        return next(row for row in rows if row["client_order_index"] == coi)

    async def status(self, coi, account=0):
        return (await self.order(coi, account))["status"]

    async def long(self, lots=1_000, coi=90):
        """Open a position."""
        wish = self.wish(coi, lots, PRICE + 5_000, kind=1, tif=IOC)
        assert await self.send(wish) == 200
        assert await self.status(coi) == "filled"


def at(door, flow, *, desk=Desk, **settings):
    """Play a flow at a desk of 1000 USDC an account, and return its result."""

    async def scenario(place):
        await place.wait(1)
        market = desk(place)
        market.quote(PRICE)
        result = await flow(market)
        assert place.engine.failure is None
        return result

    chosen = {"symbols": ("ETH",), "collateral": 1_000_000_000, "price_bands": "off"}
    return play(door, scenario, **{**chosen, **settings})
