"""P16 with a process for each leg and a real Redis: judged by the exchange's ledger.

Leg B is killed by signal 9 again and again, leg A once, Redis is restarted once. What
counts are the times at which the exchange carried trades out and took orders, never
what the legs say. `WRAPPY_HEDGE_KILLS` sets how often leg B is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import pytest

pytest.importorskip("redis", reason="the Redis client comes with an extra")

from tests.promises.test_p17_bus import ROOT, SERVER, Server, until
from wrappy.protocol.intents import TxType
from wrappy.venue import Venue, VenueSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SERVER is None, reason="no redis-server here"),
]
KILLS = int(os.environ.get("WRAPPY_HEDGE_KILLS", "6"))
MOST_S = 5.0
LIMIT_LOTS = 50
"""The settings' own limit, in lots of the market."""

PATIENCE_S = 60.0


class Pair:
    """Both legs as processes at one exchange."""

    def __init__(self, folder, venue, server):
        self.folder, self.venue = folder, venue
        self.owners = venue.accounts[:2]
        self.processes = {}
        a, b = self.owners
        (folder / "hedge.yaml").write_text(
            f"lighter: {{base_url: '{venue.base_url}', chain_id: {venue.chain_id}}}\n"
            f"accounts:\n  account_a: {{account_index: {a.account_index}, "
            f"api_key_index: {a.api_keys[0].api_key_index}}}\n"
            f"  account_b: {{account_index: {b.account_index}, "
            f"api_key_index: {b.api_keys[0].api_key_index}}}\n"
            "strategy: {rounds: 100000, order_timeout_s: 3}\n"
        )
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
            "REDIS_URL": server.url,
            "HEDGE_A_PRIVATE_KEY": a.api_keys[0].api_key_private_key,
            "HEDGE_B_PRIVATE_KEY": b.api_keys[0].api_key_private_key,
        }

    async def start(self, leg):
        given = ["--config", str(self.folder / "hedge.yaml")]
        if leg == "b":
            given += ["--journal", str(self.folder / "hedges.jsonl")]
        with (self.folder / f"told_{leg}").open("a") as told:
            self.processes[leg] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"examples.hedge.leg_{leg}", *given),
                stdout=told,
                stderr=told,
                env=self.environment,
                cwd=ROOT,
            )

    async def end(self, leg, number):
        process = self.processes.pop(leg)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return await process.wait()

    def told(self):
        texts = [self.folder / "told_a", self.folder / "told_b"]
        return "\n".join(text.read_text()[-1_500:] for text in texts if text.exists())

    def traded(self, place):
        return len(self.venue.ledger.trades(self.owners[place].account_index))

    async def trade_more(self, times, within_s=PATIENCE_S):
        """Wait until leg A has traded so often."""
        before = self.traded(0)
        await until(lambda: self.traded(0) >= before + times, within_s, self.told)

    def exposures(self):
        """Return the net exposure in lots from each moment on, microseconds."""
        numbers = {owner.account_index for owner in self.owners}
        net, steps = 0, []
        for trade in self.venue.ledger.trades():
            change = trade.base * (
                (trade.bid_account in numbers) - (trade.ask_account in numbers)
            )
            if change:
                net += change
                steps.append((trade.at_us, net))
        return steps

    def actions(self):
        """Return when an order was taken that trades at once, of either leg."""
        numbers = {owner.account_index for owner in self.owners}
        return [
            tx.at_us
            for tx in self.venue.ledger.accepted()
            if tx.account in numbers
            and tx.tx_type == TxType.CREATE_ORDER
            and tx.info["TimeInForce"] == 0
        ]


def longest_without_an_action(steps, actions, ends_us):
    """Return the longest time above the limit, and the longest of it in silence."""
    open_s, quiet_s, since = 0.0, 0.0, None
    for (at, net), (until_us, _) in zip(steps, [*steps[1:], (ends_us, 0)], strict=True):
        if abs(net) <= LIMIT_LOTS:
            since = None
            continue
        since = at if since is None else since
        acts = [act for act in actions if since < act < until_us]
        silent_us = since
        for act in [*acts, until_us]:
            quiet_s = max(quiet_s, (act - silent_us) / 1e6)
            silent_us = act
        open_s = max(open_s, (until_us - since) / 1e6)
    return open_s, quiet_s


def test_the_judge_itself():
    steps = [(0, 0), (1_000_000, 100), (9_000_000, 10), (20_000_000, -60)]
    judged = longest_without_an_action(steps, [4_000_000, 7_000_000], 22_000_000)
    assert judged == (8.0, 3.0)
    assert longest_without_an_action(steps, [], 22_000_000) == (8.0, 8.0)


async def test_whoever_dies_the_pair_is_not_left_open_for_long(tmp_path):
    server = Server(tmp_path)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        venue = await stack.enter_async_context(Venue(settings=VenueSettings(seed=1)))
        pair = Pair(tmp_path, venue, server)
        try:
            await pair.start("b")
            await pair.start("a")
            await pair.trade_more(2)
            for kill in range(KILLS):
                await pair.trade_more(1)
                # Before, while or after it hedges this one.
                await asyncio.sleep(0.05 * (kill % 4))
                await pair.end("b", signal.SIGKILL)
                if kill % 2:
                    await asyncio.sleep(1.0)
                await pair.start("b")
                if kill == KILLS // 3:
                    await server.stop()
                    await asyncio.sleep(1.0)
                    await server.start()
                if kill == KILLS // 2:
                    await pair.trade_more(1)
                    await pair.end("a", signal.SIGKILL)
                    await asyncio.sleep(2.0)
                    await pair.start("a")
            await pair.trade_more(2)
            code = await pair.end("a", signal.SIGINT)
            await until(
                lambda: abs(pair.exposures()[-1][1]) <= LIMIT_LOTS, words=pair.told
            )
            ends_us = pair.exposures()[-1][0]
            assert (code, await pair.end("b", signal.SIGINT)) == (130, 130), pair.told()
        finally:
            for leg in tuple(pair.processes):
                await pair.end(leg, signal.SIGKILL)
        open_s, quiet_s = longest_without_an_action(
            pair.exposures(), pair.actions(), ends_us
        )
        print(
            f"{KILLS} kills of leg B, 1 of leg A, 1 restart, {pair.traded(0)} trades: "
            f"longest above the limit {open_s:.2f} s, without an action {quiet_s:.2f} s"
        )
        assert quiet_s <= MOST_S, pair.told()
