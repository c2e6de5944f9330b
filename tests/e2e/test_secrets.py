"""A private key is never shown: not in logs, reprs, answers or tracebacks."""

from __future__ import annotations

import contextlib
import logging
import traceback

import pytest

from wrappy import CredentialsError, LighterDealer, WrappyError, WsInfo
from wrappy.lighter.config import ApiKeyConfig


@pytest.fixture
async def relayed(quiet_venue, relay_to):
    return quiet_venue, await relay_to(quiet_venue)


async def test_a_key_never_shows_in_logs_reprs_or_errors(
    relayed, config_for, caplog, capsys, eventually
):
    quiet_venue, relay = relayed
    caplog.set_level(logging.DEBUG)
    shown = []

    async def fails(action):
        with contextlib.suppress(WrappyError):
            try:
                await action
            except WrappyError as error:
                shown.extend([repr(error), str(error), repr(error.args)])
                shown.append("".join(traceback.format_exception(error)))
                raise

    config = config_for(relay)
    key = config.api_keys[0]
    secret = key.api_key_private_key
    shown += [repr(config), str(config), repr(config.api_keys), repr(key)]

    tokens = []

    def note(frame):
        tokens.extend([frame["auth"]] if "auth" in frame else [])
        return [frame]

    relay.up = note
    async with (
        await LighterDealer.create(config) as dealer,
        await WsInfo.run_overlay(
            config.account_index,
            key.api_key_index,
            secret,
            symbol="ETH",
            base_url=relay.base_url,
        ) as overlay,
    ):
        overlay.on_orders = dealer.feed_ws_orders
        answer = await dealer.create_limit_order(1000, 0.05)
        relay.lose_answer("/api/v1/sendTx")
        await fails(dealer.flush())
        await dealer.create_limit_order(1000, 0.05)
        shown.append(repr(await dealer.flush()))
        relay.answer("/api/v1/sendTx", {"code": 21120}, status=400)
        await fails(dealer.cancel_all_orders())
        order = await overlay.wait_order_by_coi(
            answer["client_order_index"], timeout=5.0
        )
        shown += [repr(order), repr(answer), repr(dealer.orders)]
        shown += [repr(vars(dealer)), repr(vars(overlay)), repr(dealer.config)]
        (token,) = set(tokens)
        relay.cut()
        await eventually(lambda: overlay.connects == 2, 10.0)

    stranger = quiet_venue.accounts[1].api_keys[0].api_key_private_key
    wrong = ApiKeyConfig(key.api_key_index, stranger)
    await fails(LighterDealer.create(config_for(relay, api_keys=(wrong,))))
    with contextlib.suppress(CredentialsError):
        try:
            ApiKeyConfig(key.api_key_index, secret + "00")
        except CredentialsError as error:
            shown.append("".join(traceback.format_exception(error)))
            raise
    output = capsys.readouterr()
    everything = "\n".join([*shown, caplog.text, output.out, output.err])
    assert len(everything) > 2000
    for hidden in (secret, stranger, token):
        assert hidden.lower() not in everything.lower()
        assert hidden[-24:].lower() not in everything.lower()
