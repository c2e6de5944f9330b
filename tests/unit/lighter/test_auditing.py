"""What comparing an account with its streams does when the two never come to agree."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial
from types import SimpleNamespace

import pytest

from wrappy._core.stream import StreamState
from wrappy.lighter.streaming.auditing import Auditor
from wrappy.lighter.trading.arguments import checked_coi
from wrappy.runner.virtual_time import run_virtual

HOUR_S = 3_600.0


class Account:
    """Stands for an account's overlay and its only dealer.

    Attributes:
        asked: how often its orders were asked for.
        renewed: how often its channels were subscribed anew.
    """

    state = StreamState.READY
    connects = 1
    orders = SimpleNamespace(live=list)

    def __init__(self):
        self.asked = self.renewed = 0
        self.rows, self.heard = [], set()
        self.positions, self.held, self.hooks = {}, [], []

    def refresh_account(self):
        self.renewed += 1

    async def reconcile(self):
        """Find nothing."""

    async def fetch_open_orders(self, *, everywhere):
        assert everywhere
        self.asked += 1
        return self.rows() if callable(self.rows) else self.rows

    async def fetch_positions(self):
        return self.held

    async def get_order_by_coi(self, number):
        return {} if checked_coi(number) in self.heard else None

    def add_hook(self, event, hook):
        assert event == "on_positions"
        self.hooks.append(hook)
        return partial(self.hooks.remove, hook)

    def tell(self, *positions):
        """Have the stream tell positions."""
        self.positions = {one.symbol: one for one in positions}
        for hook in self.hooks:
            hook(self.positions)


def after(account, seconds):
    async def main():
        auditor = Auditor(account, {"ETH": account}, every_s=60.0)
        await asyncio.sleep(seconds)
        await auditor.aclose()

    run_virtual(main)
    return account


def held(size, symbol="ETH"):
    return SimpleNamespace(symbol=symbol, size=Decimal(size))


def test_what_stays_different_is_subscribed_anew_less_and_less_often():
    account = Account()
    account.held = [held(1)]
    assert 5 <= after(account, 8 * HOUR_S).renewed <= 15


def test_channels_that_agree_in_between_are_not_made_to_wait():
    account = Account()

    def rows():
        account.held = [] if account.asked % 3 == 0 else [held(1)]
        return []

    account.rows = rows
    assert after(account, HOUR_S).renewed > 20


def test_orders_of_a_moment_that_the_stream_is_about_to_tell_are_no_silence():
    account = Account()

    def rows():
        account.heard = set(range(1, account.asked))
        return [{"client_order_index": account.asked}]

    account.rows = rows
    assert after(account, 8 * HOUR_S).renewed == 0
    assert account.asked <= 2 * 8 * HOUR_S / 70 + 2, "nor is there any hurry"


def test_orders_of_a_moment_that_it_never_tells_are():
    account = Account()
    account.rows = lambda: [{"client_order_index": account.asked}]
    assert after(account, 100.0).renewed == 1


@pytest.mark.parametrize("number", [-1, 2**48, "7", None, 0])
def test_a_number_that_is_none_does_not_end_the_comparing(number):
    account = Account()
    account.rows = [{"client_order_index": number}]
    account.held = [held(1)]
    assert after(account, 100.0).renewed == 1


def test_an_end_that_nobody_foresaw_is_told(caplog):
    account = Account()
    account.rows = lambda: 1 // 0
    after(account, 100.0)
    assert "nothing is compared with the account any more" in caplog.text


def test_a_position_that_has_come_back_to_what_it_was_is_no_silence():
    account = Account()

    def rows():
        account.tell(held(1))
        account.tell()
        account.held = [held(1)]  # an answer that lags
        return []

    account.rows = rows
    assert after(account, HOUR_S).renewed == 0
    assert account.hooks == []
