"""P7: a book is the exchange's own at its count, or it cannot be read."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.promises.places import in_process
from tests.promises.streams import (
    HeavyMarket,
    Truth,
    Witness,
    overlay_at,
    shown_depth,
    true_depth,
)
from wrappy.errors import BookGapError, StaleBookError
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, Venue

RESNAPSHOT_S = 2.0
PUSHED = {"phase": "push", "path": "update/order_book"}
BREAKING = [
    FaultRule(act="drop", every=5, **PUSHED),
    FaultRule(act="nonce_gap", every=5, **PUSHED),
    FaultRule(act="nonce_gap", every=5, count=1000, **PUSHED),
    FaultRule(act="truncate", every=5, **PUSHED),
    FaultRule(act="garbage", every=5, **PUSHED),
    FaultRule(act="garbage", every=5, binary=True, **PUSHED),
]
BEARABLE = [
    FaultRule(act="dup", every=2, **PUSHED),
    FaultRule(act="offset_jump", every=3, count=1000, **PUSHED),
    FaultRule(act="huge", every=20, **PUSHED),
    FaultRule(act="delay", delay_ms=40, **PUSHED),
]
CLOSING = [
    FaultRule(act="close", phase="tick", code=code, after_ms=1_000)
    for code in (1000, 1001, 1006, 1008, 1011, 1012)
] + [FaultRule(act="shutdown", phase="tick", delay_ms=300, after_ms=1_000)]
REORDERED = FaultRule(act="reorder", every=4, **PUSHED)
NO_SNAPSHOT = [
    FaultRule(act="nonce_gap", times=1, **PUSHED),
    FaultRule(act="drop", phase="push", path="subscribed/order_book", times=1),
]


def named(rule):
    return f"{rule.act}-{rule.code or rule.count}-{rule.binary}"


@pytest.fixture(autouse=True)
def silenced():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class FrameWatch:
    """Looks at the book with each frame, in the same breath as the overlay.

    Attributes:
        gaps: frames that did not build on the one before.
        served: those after which the book could be read all the same.
    """

    def __init__(self, overlay):
        self.gaps = self.served = 0
        self._overlay = overlay
        self._nonce = None
        overlay.tap(self._frame)

    def _frame(self, message):
        change = message.get("order_book")
        if not isinstance(change, dict):
            return
        snapshot = message["type"].startswith("subscribed/")
        fits = snapshot or change["begin_nonce"] == self._nonce
        if not fits and self._nonce is not None and change["nonce"] > self._nonce:
            self.gaps += 1
            self.served += self._overlay.book().is_valid
        self._nonce = change["nonce"] if fits else None


async def broken(*rules, seconds=20.0):
    """Break frames for a while; return witness and the two watches."""
    market, loop = HeavyMarket(20_000), asyncio.get_running_loop()
    async with (
        in_process(flow=market) as exchange,
        await overlay_at(exchange, environment=exchange.environment) as overlay,
    ):
        watch = FrameWatch(overlay)
        await asyncio.sleep(1)  # who taps is told all anew
        witness, truth = Witness(overlay), Truth(exchange.engine, overlay)
        longest_s, gone_at = 0.0, None
        handles = [exchange.faults.add(rule) for rule in rules]
        ends = loop.time() + seconds
        while loop.time() < ends:
            truth.compare()
            if overlay.book().is_valid:
                gone_at = None
            else:
                gone_at = loop.time() if gone_at is None else gone_at
                longest_s = max(longest_s, loop.time() - gone_at)
            await asyncio.sleep(0.005)
        for handle in handles:
            assert exchange.faults.fired(handle), "nothing went wrong"
            exchange.faults.remove(handle)
        await overlay.ready(60)
        market.moves = market.trades = False
        await asyncio.sleep(5)
        assert shown_depth(overlay) == true_depth(exchange.engine)
        await truth.aclose()
        assert truth.compared > 20, "hardly ever compared"
        assert not truth.wrong
        assert not witness.untrue
        assert not watch.served
        return witness, watch, longest_s, overlay.connects


@pytest.mark.parametrize("rule", BREAKING, ids=named)
def test_a_gap_takes_the_book_away_at_once_and_a_snapshot_brings_it_back(rule):
    witness, watch, longest_s, connects = run_virtual(lambda: broken(rule))
    assert watch.gaps > 0
    assert len(witness.gaps) >= watch.gaps
    assert longest_s <= RESNAPSHOT_S
    assert connects == 1


@pytest.mark.parametrize("rule", BEARABLE, ids=named)
def test_what_is_no_gap_leaves_the_book_readable(rule):
    witness, watch, longest_s, connects = run_virtual(lambda: broken(rule))
    assert (len(witness.gaps), watch.gaps, longest_s, connects) == (0, 0, 0.0, 1)


def test_frames_in_another_order_never_show_a_wrong_book():
    run_virtual(lambda: broken(REORDERED))


def test_a_snapshot_that_never_comes_is_asked_for_on_a_fresh_connection():
    *_, connects = run_virtual(lambda: broken(*NO_SNAPSHOT))
    assert connects == 2


@pytest.mark.parametrize("rule", CLOSING, ids=named)
def test_a_lost_connection_takes_the_book_with_it(rule):
    witness, _, _, connects = run_virtual(lambda: broken(rule))
    assert connects > 1
    assert len(witness.gaps) >= connects - 1


def test_a_connection_that_went_silent_makes_the_book_stale():
    async def scenario():
        loop = asyncio.get_running_loop()
        async with (
            in_process(flow=HeavyMarket()) as exchange,
            await overlay_at(exchange, environment=exchange.environment) as overlay,
        ):
            await asyncio.sleep(2)
            frozen = FaultRule(act="freeze", phase="tick", times=1)
            handle = exchange.faults.add(frozen)
            await asyncio.sleep(1)
            assert exchange.faults.fired(handle)
            silent_at, book = loop.time() - 1, overlay.book()
            last = book.best_bid
            while book.is_valid:
                assert loop.time() < silent_at + 46, "old prices were served"
                assert book.best_bid == last
                await asyncio.sleep(0.1)
            with pytest.raises(StaleBookError, match="stale"):
                _ = book.best_ask
            await asyncio.sleep(40)
            assert overlay.connects == 2
            assert overlay.book().is_valid

    run_virtual(scenario)


def test_a_quiet_market_is_not_stale():
    async def scenario():
        market = HeavyMarket()
        async with (
            in_process(flow=market) as exchange,
            await overlay_at(exchange, environment=exchange.environment) as overlay,
        ):
            market.moves = market.trades = False
            for _ in range(600):
                await asyncio.sleep(1)
                assert overlay.book().is_valid
            assert overlay.connects == 1

    run_virtual(scenario)


@pytest.mark.parametrize("rule", BREAKING, ids=named)
async def test_a_gap_over_a_real_socket(ws, eventually, rule):
    market = HeavyMarket(20_000)
    async with Venue(seed=1, flow=market) as venue:
        overlay = await ws(venue)
        watch = FrameWatch(overlay)
        await eventually(lambda: not overlay.book().is_valid)
        await eventually(lambda: overlay.book().is_valid)
        witness, truth = Witness(overlay), Truth(venue, overlay)
        broken_frames = venue.faults.add(rule)
        await eventually(lambda: len(witness.gaps) >= 3, 10.0)
        assert venue.faults.fired(broken_frames)
        venue.faults.remove(broken_frames)
        await eventually(lambda: overlay.book().is_valid, RESNAPSHOT_S)
        market.moves = market.trades = False

        def equal():
            try:
                return shown_depth(overlay) == true_depth(venue)
            except BookGapError:
                return False

        await eventually(equal)
        await truth.aclose()
        assert not truth.wrong
        assert not watch.served
        assert not witness.untrue
