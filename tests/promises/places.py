"""Exchanges and dealers in virtual time, as several promises need them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math

from wrappy import DealerConfig, LighterDealer
from wrappy.lighter.config import ApiKeyConfig
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.venue import VenueSettings

TRAVEL = TravelTimes(request_ms=(5, 40), reply_ms=(5, 40))


def in_process(*, flow=None, travel=TRAVEL, repeats=False, **changes):
    """Return an exchange without sockets, in which nobody trades unless told to."""
    settings = VenueSettings(**{"flow": "none", "verify": False, **changes})
    return InProcessExchange(settings, flow=flow, travel=travel, repeats=repeats)


def config_at(exchange, state, account=0, keys=None, **changes):
    """Return settings for an account, with its first `keys` keys or all of them."""
    owner = exchange.accounts[account]
    return DealerConfig(
        **{
            "base_url": exchange.base_url,
            "account_index": owner.account_index,
            "api_keys": tuple(
                ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                for key in owner.api_keys[:keys]
            ),
            "chain_id": exchange.chain_id,
            "symbol": "ETH",
            "standard_account": False,
            "state_dir": str(state),
            "journal": False,
            **changes,
        }
    )


async def trader_at(
    exchange, state, account=0, *, keys=None, environment=None, **changes
):
    """Return a dealer at such an exchange; close it in the end."""
    config = config_at(exchange, state, account, keys, **changes)
    return await LighterDealer.create(
        config, environment=environment or exchange.environment
    )


class Watched:
    """The environment of an exchange, with everything that leaves the client noted.

    Attributes:
        left: moment and path of each REST request, and type of each frame sent.
    """

    def __init__(self, exchange):
        self.left = []
        native = exchange.environment
        self.environment = dataclasses.replace(
            native,
            open_rest=lambda *given, **named: _Rest(
                native.open_rest(*given, **named), self.left
            ),
            open_stream=lambda *given, **named: _Stream(
                native.open_stream(*given, **named), self.left
            ),
        )

    def since(self, moment, until=math.inf):
        """Return what left after a moment, up to another."""
        return [path for at, path in self.left if moment < at <= until]


class _Rest:
    def __init__(self, inner, left):
        self._inner, self._left = inner, left

    async def get(self, path, params=None, *, token=None):
        self._left.append((asyncio.get_running_loop().time(), path))
        return await self._inner.get(path, params, token=token)

    async def post_form(self, path, form):
        self._left.append((asyncio.get_running_loop().time(), path))
        return await self._inner.post_form(path, form)

    async def aclose(self):
        await self._inner.aclose()


class _Stream:
    def __init__(self, inner, left):
        self._inner, self._left = inner, left
        self.connect, self.receive = inner.connect, inner.receive
        self.disconnect, self.aclose = inner.disconnect, inner.aclose

    @property
    def is_open(self):
        return self._inner.is_open

    async def send(self, frame):
        kind = json.loads(frame)["type"]
        self._left.append((asyncio.get_running_loop().time(), kind))
        await self._inner.send(frame)
