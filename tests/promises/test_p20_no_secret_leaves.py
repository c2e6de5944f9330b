"""P20: no private key and no token is ever shown or written.

Canary keys trade, fail and crash with everything told: logs at DEBUG, tracebacks with
the variables of every frame of ours, reprs, files. Then all of it is searched.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import traceback
from urllib.parse import quote

import pytest

from tests.promises.processes import bot
from wrappy import (
    ConfigError,
    CredentialsError,
    DealerConfig,
    LighterDealer,
    WrappyError,
    WsInfo,
)
from wrappy.lighter.config import ApiKeyConfig
from wrappy.lighter.environment import Environment
from wrappy.lighter.wire.transport import RestDoor, StreamDoor
from wrappy.signing import derive_key_pair
from wrappy.signing.python import PythonSigner
from wrappy.signing.sdk import SdkSigner

SEND, BATCH, TX = "/api/v1/sendTx", "/api/v1/sendTxBatch", "/api/v1/tx"
L1_KEY = "c0ffee" * 10 + "c0de"
OURS = "/wrappy/"


class Canaries:
    """What must not be found, in every spelling it could have."""

    def __init__(self, config):
        self.texts = {L1_KEY}
        for key in config.api_keys:
            self.add_key(key.api_key_private_key)

    def add_key(self, private_key):
        bare = private_key.removeprefix("0x").lower()
        number = int.from_bytes(bytes.fromhex(bare), "little")
        self.texts |= {bare, bare[:40], bare[-40:], str(number)}
        self.texts |= {
            str(int(bare, 16)),
            f"{number:x}",
            repr(bytes.fromhex(bare))[3:-2],
        }

    def add_token(self, token):
        _, _, signature = token.rpartition(":")
        self.texts |= {token, quote(token, safe=""), signature}

    def found_in(self, text):
        text = text.lower()
        return sorted(hidden[:6] for hidden in self.texts if hidden.lower() in text)


def told(error):
    """Return everything that can be printed of an error, causes and locals included."""
    parts, chain = [], [error]
    for seen in chain:
        parts += [str(seen), repr(seen), repr(seen.args), repr(vars(seen))]
        behind = (seen.__cause__, seen.__context__)
        # A chain may lead back to where it began.
        chain += [one for one in behind if one is not None and one not in chain]
    parts += traceback.format_exception(error)
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    while report is not None:
        for frame in report.stack:
            # A test's own variables are the canaries themselves.
            if OURS in frame.filename and frame.locals:
                parts += [f"{name}={value}" for name, value in frame.locals.items()]
        report = report.__cause__ or report.__context__
    return "\n".join(parts)


class Record:
    """Everything that was shown."""

    def __init__(self):
        self.shown = []

    def show(self, *things):
        for thing in things:
            self.shown += [repr(thing), str(thing), f"{thing}"]

    def tries(self, made):
        try:
            self.show(made())
        except (ConfigError, CredentialsError) as error:
            self.shown += [str(error), repr(error), repr(error.__cause__)]

    async def fails(self, action):
        try:
            return await action
        except WrappyError as error:
            self.shown.append(told(error))
            return None


def spying(canaries):
    """Return an environment that learns every token that leaves."""

    class Rest(RestDoor):
        async def get(self, path, params=None, *, token=None):
            if token:
                canaries.add_token(token)
            return await super().get(path, params, token=token)

    class Stream(StreamDoor):
        async def send(self, frame):
            token = json.loads(frame).get("auth")
            if token:
                canaries.add_token(token)
            await super().send(frame)

    return Environment(open_rest=Rest, open_stream=Stream)


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "means",
    [
        {"signer": signer, "use_websocket": use_websocket}
        for signer in ("official", "python")
        for use_websocket in (False, True)
    ],
    ids=str,
)
async def test_trading_and_failing_tells_no_secret(
    quiet_venue, relay_to, config_for, told_anywhere, means
):
    asyncio.get_running_loop().set_debug(True)
    relay = await relay_to(quiet_venue)
    config = config_for(
        relay,
        **means,
        l1_private_key=L1_KEY,
        request_timeout_s=2.0,
    )
    canaries, record = Canaries(config), Record()
    environment = spying(canaries)
    record.show(config, config.api_keys, dataclasses.replace(config, symbol="BTC"))
    key = config.api_keys[0]
    async with (
        await LighterDealer.create(config, environment=environment) as trader,
        await WsInfo.run_overlay(
            config.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol="ETH",
            base_url=relay.base_url,
            environment=environment,
        ) as overlay,
    ):
        overlay.on_orders = trader.feed_ws_orders
        placed = await trader.create_limit_order(1000, 0.05)
        for path in (SEND, BATCH):
            relay.lose_answer(path)
            relay.answer(path, b"\xff<html>", status=502)
        record.show(placed, await record.fails(trader.flush()))
        record.show(await record.fails(trader.create_market_order(0.05, 3000)))
        relay.answer(SEND, {"code": 21120, "message": "invalid signature"}, status=400)
        record.show(await record.fails(trader.cancel_all_orders()))
        await record.fails(trader.create_limit_order("nan", 1))
        await record.fails(trader.flush())
        relay.answer("/api/v1/account", {"code": 20013, "message": "auth"}, status=401)
        record.show(await record.fails(trader.fetch_my_balance()))
        relay.answer("/api/v1/accountActiveOrders", b"[" * 999, times=9)
        record.show(await record.fails(trader.fetch_open_orders()))
        record.show(await record.fails(trader.fetch_positions()))
        relay.cut()
        with contextlib.suppress(asyncio.TimeoutError):
            await overlay.wait_order_by_coi(placed["client_order_index"], timeout=1.0)
        record.show(trader, trader.orders, trader.orders.live(), trader.market)
        record.show(trader.config, trader.receipt(placed["client_order_index"]))
        record.show(overlay, environment, vars(trader), vars(overlay))
    await wrong_keys(record, canaries, config_for, relay, quiet_venue)
    assert any(":" in hidden for hidden in canaries.texts), "no token was seen"
    for name, text in told_anywhere(record).items():
        assert canaries.found_in(text) == [], name


async def wrong_keys(record, canaries, config_for, relay, venue):
    """Give keys that do not fit, in every way a person does."""
    stranger = derive_key_pair(b"stranger").private_key
    canaries.add_key(stranger)
    index = venue.accounts[0].api_keys[0].api_key_index
    wrong = config_for(relay, api_keys=(ApiKeyConfig(index, stranger),))
    await record.fails(LighterDealer.create(wrong))
    for key in (stranger + "00", stranger[:-1] + "g", f" {stranger}", stranger * 2):
        for made in (
            lambda key=key: ApiKeyConfig(index, key),
            lambda key=key: ApiKeyConfig(key, index),
            lambda key=key: config_for(relay, symbol=key),
            lambda key=key: config_for(relay, base_url=key),
            lambda key=key: config_for(relay, api_keys=key),
            lambda key=key: config_for(relay, chain_id=key),
            lambda key=key: DealerConfig(signer=key),
            lambda key=key: signer(SdkSigner, key, index),
            lambda key=key: signer(PythonSigner, key, index),
        ):
            record.tries(made)
    for kind in (SdkSigner, PythonSigner):
        record.show(signer(kind, stranger, index))


def signer(kind, key, index):
    return kind(key, account_index=65, api_key_index=index, chain_id=304)


@pytest.fixture
def told_anywhere(caplog, capfd, tmp_path):
    """Return a function that gives everything that was left, by name."""
    caplog.set_level(logging.DEBUG)

    def found(record):
        output = capfd.readouterr()
        left = {
            "shown": "\n".join(record.shown),
            "log": caplog.text + repr([vars(row) for row in caplog.records]),
            "stdout": output.out,
            "stderr": output.err,
        }
        for path in files_of(tmp_path):
            left[str(path)] = path.read_bytes().decode("latin-1") + str(path)
        assert len(left["shown"]) > 10_000
        assert any("journal" in name for name in left)
        return left

    return found


async def test_a_process_that_logs_everything_and_is_killed_leaves_no_secret(
    quiet_venue, config_for, tmp_path
):
    config = config_for(quiet_venue)
    canaries = Canaries(config)
    async with bot(config, debug=True) as running:
        assert "tx_hash" in await running.place(1000)
        assert "error" in await running.place(-1)
        running.process.kill()
        out, errors = await running.process.communicate()
    assert b"DEBUG" in errors
    assert canaries.found_in((out + errors).decode()) == []
    for path in files_of(tmp_path):
        assert canaries.found_in(path.read_bytes().decode("latin-1")) == [], path


def test_the_search_finds_what_it_looks_for(config_for, quiet_venue):
    config = config_for(quiet_venue)
    secret = config.api_keys[0].api_key_private_key
    canaries = Canaries(config)
    canaries.add_token("1:2:3:abcdef0123456789")
    for text in (
        secret,
        f"x{secret.upper()}y",
        "auth=1%3A2%3A3%3Aabcdef0123456789",
        L1_KEY,
    ):
        assert canaries.found_in(text)
