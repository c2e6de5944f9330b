"""A stub of the exchange that accepts everything at once.

It checks nothing, so that what is measured against it is the client. `python -m
benchmarks.server` prints one JSON line with its addresses and its one account's key.
"""

from __future__ import annotations

import asyncio
import json
import time

from aiohttp import WSMsgType, web

from wrappy.signing import derive_key_pair

ACCOUNT_INDEX = 65
API_KEY_INDEX = 5
CHAIN_ID = 304
KEY = derive_key_pair(b"benchmarks")
HASH = "0" * 80
MARKER = b"ExpiredAt"
"""Stands once in every transaction, however it is wrapped."""

MARKET = {
    "symbol": "ETH",
    "market_id": 0,
    "market_type": "perp",
    "status": "active",
    "price_decimals": 2,
    "size_decimals": 4,
    "min_base_amount": "0.0050",
    "min_quote_amount": "10.000000",
    "order_quote_limit": "281474976.710655",
    "default_initial_margin_fraction": 500,
    "min_initial_margin_fraction": 200,
    "maintenance_margin_fraction": 120,
    "closeout_margin_fraction": 80,
}


def acceptance(hashes: str | list[str]) -> dict[str, object]:
    """Return what the exchange says to transactions it takes."""
    return {
        "code": 200,
        "message": '{"ratelimit": "didn\'t use volume quota"}',
        "tx_hash": hashes,
        "predicted_execution_time_ms": int(time.time() * 1000),
        "volume_quota_remaining": 1_000_000,
    }


async def root(_: web.Request) -> web.Response:
    return web.json_response({"status": 200, "network_id": CHAIN_ID})


async def next_nonce(_: web.Request) -> web.Response:
    return web.json_response({"code": 200, "nonce": 1})


async def details(_: web.Request) -> web.Response:
    return web.json_response({"code": 200, "order_book_details": [MARKET]})


async def api_keys(_: web.Request) -> web.Response:
    key = {
        "account_index": ACCOUNT_INDEX,
        "api_key_index": API_KEY_INDEX,
        "nonce": 1,
        "public_key": KEY.public_key,
    }
    return web.json_response({"code": 200, "api_keys": [key]})


async def no_orders(_: web.Request) -> web.Response:
    return web.json_response({"code": 200, "orders": []})


async def send_tx(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response(acceptance(HASH))


async def send_tx_batch(request: web.Request) -> web.Response:
    count = (await request.read()).count(MARKER)
    return web.json_response(acceptance([HASH] * count))


async def stream(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"type": "connected"})
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            break
        frame = json.loads(message.data)
        kind = frame["type"]
        if kind == "ping":
            await socket.send_json({"type": "pong"})
            continue
        count = message.data.encode().count(MARKER)
        body = acceptance(HASH if kind.endswith("sendtx") else [HASH] * count)
        await socket.send_json({"type": kind, "id": frame["data"]["id"], **body})
    return socket


async def serve() -> None:
    """Listen on a free port of the loopback interface until terminated."""
    application = web.Application()
    application.add_routes(
        [
            web.get("/", root),
            web.get("/stream", stream),
            web.get("/api/v1/nextNonce", next_nonce),
            web.get("/api/v1/orderBookDetails", details),
            web.get("/api/v1/apikeys", api_keys),
            web.get("/api/v1/accountActiveOrders", no_orders),
            web.get("/api/v1/accountInactiveOrders", no_orders),
            web.post("/api/v1/sendTx", send_tx),
            web.post("/api/v1/sendTxBatch", send_tx_batch),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    told = {
        "base_url": f"http://127.0.0.1:{port}",
        "account_index": ACCOUNT_INDEX,
        "api_key_index": API_KEY_INDEX,
        "api_key_private_key": KEY.private_key,
        "chain_id": CHAIN_ID,
    }
    print(json.dumps(told), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
