"""Batches of 15 limit orders, from the caller's numbers to the exchange's yes.

Every client is a process of its own and talks to the same stub (`server.py`). The
official client signs each order with an explicit nonce and sends the batch, as its
examples do; once more with the signing moved to a thread, which it does not do by
itself, to tell how much of the difference that alone makes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Player, Row, interleaved, main, play, players, row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BATCH = 15
PRICE_TICKS = 300_000
LOTS = 1_000
OFFICIAL = "official SDK, 15 signed + sendTxBatch"
OFFICIAL_THREAD = "official SDK, the same with signing on a thread"
OFFICIAL_SINGLE = "official SDK, create_order one by one"
OURS = "LighterDealer, 15 enqueued + flush, REST"
OURS_STREAM = "LighterDealer, 15 enqueued + flush, WebSocket"
CASES = {
    OFFICIAL: "official",
    OFFICIAL_THREAD: "official-thread",
    OFFICIAL_SINGLE: "official-single",
    OURS: "dealer-rest",
    OURS_STREAM: "dealer-stream",
}
ROUNDS, BATCHES = 11, 20
QUICK_ROUNDS, QUICK_BATCHES = 2, 3
UNPACED_SENDS = 800
"""A premium dealer's burst; below it the dealer's own pace never waits."""


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds, batches = (QUICK_ROUNDS, QUICK_BATCHES) if quick else (ROUNDS, BATCHES)
    if (rounds + 1) * batches >= UNPACED_SENDS:
        raise ValueError("so many sends would measure the dealer's rate limit")
    cpu: dict[str, list[float]] = {case: [] for case in CASES}

    def orders_per_second(case: str, player: Player) -> float:
        answer = player.ask(batches)
        cpu[case].append(answer["cpu_s"] / batches / BATCH * 1e6)
        return batches * BATCH / answer["wall_s"]

    with players(["benchmarks.server"]) as (server,):
        told = [str(value) for value in server.told.values()]
        commands = [["benchmarks.bench_batch", name, *told] for name in CASES.values()]
        with players(*commands) as made:
            figures = interleaved(
                {
                    case: partial(orders_per_second, case, player)
                    for case, player in zip(CASES, made, strict=True)
                },
                rounds=rounds,
            )
    rows = [row("batch", OFFICIAL, figures, "orders/s")]
    rows += [
        row(
            "batch",
            case,
            figures,
            "orders/s",
            against=OFFICIAL,
            target=">= 4" if case == OURS else None,
        )
        for case in CASES
        if case != OFFICIAL
    ]
    processor = {f"{case}: client CPU": used[1:] for case, used in cpu.items()}
    rows += [
        row(
            "batch",
            f"{case}: client CPU",
            processor,
            "us/order",
            against=None if case == OFFICIAL else f"{OFFICIAL}: client CPU",
        )
        for case in CASES
    ]
    return rows


# What follows runs in the measuring processes.


def play_async(one_batch: Callable[[], Awaitable[Any]], loop: Any) -> None:
    async def some(amount: int) -> dict[str, float]:
        began, began_cpu = time.perf_counter(), time.process_time()
        for _ in range(amount):
            await one_batch()
        return {
            "wall_s": time.perf_counter() - began,
            "cpu_s": time.process_time() - began_cpu,
        }

    play(lambda amount: loop.run_until_complete(some(amount)))


def official(kind: str, url: str, account: int, key: int, private_key: str) -> None:
    import lighter  # noqa: PLC0415 - only this process pays for it

    loop = asyncio.new_event_loop()
    nonces = iter(range(1, 10**9))

    async def made() -> lighter.SignerClient:
        return lighter.SignerClient(
            url=url, account_index=account, api_private_keys={key: private_key}
        )

    client = loop.run_until_complete(made())

    def signed() -> tuple[list[int], list[str]]:
        types, infos = [], []
        for _ in range(BATCH):
            nonce = next(nonces)
            tx_type, tx_info, _, error = client.sign_create_order(
                market_index=0,
                client_order_index=nonce,
                base_amount=LOTS,
                price=PRICE_TICKS,
                is_ask=False,
                order_type=client.ORDER_TYPE_LIMIT,
                time_in_force=client.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
                nonce=nonce,
                api_key_index=key,
            )
            assert error is None, error
            types.append(tx_type)
            infos.append(tx_info)
        return types, infos

    async def batch() -> None:
        types, infos = signed()
        answer = await client.send_tx_batch(types, infos)
        assert len(answer.tx_hash) == BATCH

    async def batch_on_thread() -> None:
        types, infos = await asyncio.to_thread(signed)
        answer = await client.send_tx_batch(types, infos)
        assert len(answer.tx_hash) == BATCH

    async def one_by_one() -> None:
        for _ in range(BATCH):
            _, answer, error = await client.create_order(
                market_index=0,
                client_order_index=next(nonces),
                base_amount=LOTS,
                price=PRICE_TICKS,
                is_ask=False,
                order_type=client.ORDER_TYPE_LIMIT,
                time_in_force=client.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
            )
            assert error is None, error
            assert answer.code == 200

    kinds = {
        "official": batch,
        "official-thread": batch_on_thread,
        "official-single": one_by_one,
    }
    play_async(kinds[kind], loop)
    loop.run_until_complete(client.close())


def dealer(kind: str, url: str, account: int, key: int, private_key: str) -> None:
    from wrappy import DealerConfig, LighterDealer  # noqa: PLC0415 - as above

    # The stub cannot compute hashes; the dealer would tell of that every time.
    logging.getLogger("LighterDealer.tx").setLevel(logging.ERROR)
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        config = DealerConfig(
            base_url=url,
            account_index=account,
            api_keys=({"api_key_index": key, "api_key_private_key": private_key},),
            symbol="ETH",
            chain_id=304,
            standard_account=False,
            use_websocket=kind == "dealer-stream",
            state_dir=folder,
        )
        made = loop.run_until_complete(LighterDealer.create(config))

        async def batch() -> None:
            for _ in range(BATCH):
                await made.create_limit_order(price="3000.00", size="0.1")
            answer = await made.flush()
            assert (answer["count"], answer["batches"]) == (BATCH, 1)

        play_async(batch, loop)
        loop.run_until_complete(made.aclose())


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _, case_name, base_url, account_index, key_index, private, _ = sys.argv
        run = dealer if case_name.startswith("dealer") else official
        run(case_name, base_url, int(account_index), int(key_index), private)
    else:
        main(measure)
