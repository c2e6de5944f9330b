"""The clients that are measured, one process each: ours and the official SDK's.

Each says when it is ready, then answers every number on standard input with the time
that so many operations took. They are used the way their own users use them: ours
through the public API with its settings as they come, the official one as its
examples do.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import sys
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Player, interleaved, play, players

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

BATCH = 15
PRICE_TICKS = 300_000
LOTS = 1_000
BEAT_S = 0.001


def commands(kinds: Iterable[str], server: Player) -> list[list[str]]:
    """Return the command lines of clients of one server."""
    told = [
        str(server.told[name])
        for name in (
            "base_url",
            "account_index",
            "api_key_index",
            "api_key_private_key",
        )
    ]
    return [["benchmarks.clients", kind, *told] for kind in kinds]


def ask_in_turns(
    cases: Mapping[str, str], amount: int, *, rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Let clients of one stub do the same in turns; return what each one answers.

    Args:
        cases: name of the case to kind of client.
        amount: operations in a round.
        rounds: how many rounds count, after one that does not.
    """
    answers: dict[str, list[dict[str, Any]]] = {case: [] for case in cases}

    def ask(case: str, player: Player) -> float:
        answers[case].append(player.ask(amount))
        return 0.0

    with (
        players(["benchmarks.server"]) as (server,),
        players(*commands(cases.values(), server)) as made,
    ):
        turns = {
            case: partial(ask, case, player)
            for case, player in zip(cases, made, strict=True)
        }
        interleaved(turns, rounds=rounds)
    return {case: told[1:] for case, told in answers.items()}


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of the values are."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


async def timed(amount: int, operation: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """Do an operation some times, one after the other; times in seconds and ms."""
    laps = []
    began, began_cpu = time.perf_counter(), time.process_time()
    for _ in range(amount):
        lap = time.perf_counter()
        await operation()
        laps.append((time.perf_counter() - lap) * 1e3)
    return {
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - began_cpu,
        "p50_ms": quantile(laps, 0.5),
        "p99_ms": quantile(laps, 0.99),
    }


async def watched(
    amount: int, operation: Callable[[], Awaitable[Any]]
) -> dict[str, Any]:
    """Do it while a timer beats every millisecond; by how much beats come late, ms."""
    late: list[float] = []
    stop = False

    async def beat() -> None:
        while not stop:
            began = time.perf_counter()
            await asyncio.sleep(BEAT_S)
            late.append((time.perf_counter() - began - BEAT_S) * 1e3)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(10 * BEAT_S)
    late.clear()
    for _ in range(amount):
        await operation()
        await asyncio.sleep(0)
    stop = True
    await beating
    return {"p99_ms": quantile(late, 0.99), "worst_ms": max(late), "beats": len(late)}


def official(kind: str, url: str, account: int, key: int, private_key: str) -> None:
    """Be a client made with the official SDK."""
    import lighter  # noqa: PLC0415 - only this process pays for it
    import websockets  # noqa: PLC0415 - comes with it

    loop = asyncio.new_event_loop()
    numbers = itertools.count(1)
    open_socket: list[Any] = []

    async def made() -> lighter.SignerClient:
        return lighter.SignerClient(
            url=url, account_index=account, api_private_keys={key: private_key}
        )

    client = loop.run_until_complete(made())

    def order(number: int) -> dict[str, Any]:
        return {
            "market_index": 0,
            "client_order_index": number,
            "base_amount": LOTS,
            "price": PRICE_TICKS,
            "is_ask": False,
            "order_type": client.ORDER_TYPE_LIMIT,
            "time_in_force": client.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
        }

    def signed(count: int) -> tuple[list[int], list[str]]:
        types, infos = [], []
        for number in itertools.islice(numbers, count):
            tx_type, tx_info, _, error = client.sign_create_order(
                **order(number), nonce=number, api_key_index=key
            )
            assert error is None, error
            types.append(tx_type)
            infos.append(tx_info)
        return types, infos

    async def batch() -> None:
        answer = await client.send_tx_batch(*signed(BATCH))
        assert len(answer.tx_hash) == BATCH

    async def batch_on_thread() -> None:
        types, infos = await asyncio.to_thread(signed, BATCH)
        answer = await client.send_tx_batch(types, infos)
        assert len(answer.tx_hash) == BATCH

    async def fifty() -> None:
        for size in (BATCH, BATCH, BATCH, 5):
            answer = await client.send_tx_batch(*signed(size))
            assert len(answer.tx_hash) == size

    async def single() -> None:
        _, answer, error = await client.create_order(**order(next(numbers)))
        assert error is None, error
        assert answer.code == 200

    async def socket() -> Any:
        if not open_socket:
            url_there = f"ws{url.removeprefix('http')}/stream"
            open_socket.append(await websockets.connect(url_there))
            await open_socket[0].recv()
        return open_socket[0]

    async def exchange(kind: str, data: dict[str, Any]) -> None:
        there = await socket()
        await there.send(json.dumps({"type": kind, "data": data}))
        answer = json.loads(await there.recv())
        assert answer["code"] == 200, answer

    async def stream_single() -> None:
        (tx_type,), (info,) = signed(1)
        data = {"id": "x", "tx_type": tx_type, "tx_info": json.loads(info)}
        await exchange("jsonapi/sendtx", data)

    async def stream_batch() -> None:
        types, infos = signed(BATCH)
        data = {"id": "x", "tx_types": json.dumps(types), "tx_infos": json.dumps(infos)}
        await exchange("jsonapi/sendtxbatch", data)

    async def thread_single() -> None:
        (tx_type,), (info,) = await asyncio.to_thread(signed, 1)
        await client.send_tx(tx_type, info)

    does = {
        "official-single": single,
        "official-single-thread": thread_single,
        "official-single-stream": stream_single,
        "official-batch": batch,
        "official-batch-thread": batch_on_thread,
        "official-batch-stream": stream_batch,
        "official-fifty": fifty,
    }[kind]
    how = watched if kind.endswith("fifty") else timed
    play(lambda amount: loop.run_until_complete(how(amount, does)))
    for there in open_socket:
        loop.run_until_complete(there.close())
    loop.run_until_complete(client.close())


def canceled(coi: int) -> dict[str, Any]:
    """Return what the exchange would tell of an order's end."""
    return {
        "client_order_index": coi,
        "order_index": 2**48 + coi,
        "market_index": 0,
        "is_ask": False,
        "type": "limit",
        "status": "canceled",
        "price": "3000.00",
        "base_price": PRICE_TICKS,
        "transaction_time": time.time_ns() // 1_000,
        "initial_base_amount": "0.1000",
        "remaining_base_amount": "0.1000",
        "filled_base_amount": "0.0000",
        "filled_quote_amount": "0.000000",
    }


def dealer(kind: str, url: str, account: int, key: int, private_key: str) -> None:
    """Be a client made with `LighterDealer`."""
    from wrappy import DealerConfig, LighterDealer  # noqa: PLC0415 - as above

    # The stub cannot compute hashes; the dealer would tell of that every time.
    logging.getLogger("LighterDealer.tx").setLevel(logging.ERROR)
    loop = asyncio.new_event_loop()
    words = kind.split("-")
    with tempfile.TemporaryDirectory() as folder:
        config = DealerConfig(
            base_url=url,
            account_index=account,
            api_keys=({"api_key_index": key, "api_key_private_key": private_key},),
            symbol="ETH",
            chain_id=304,
            standard_account=False,
            use_websocket="stream" in words,
            journal="bare" not in words,
            signer="python" if "python" in words else "official",
            state_dir=folder,
        )
        made = loop.run_until_complete(LighterDealer.create(config))

        living: list[int] = []

        async def send(count: int, requests: int) -> None:
            for _ in range(count):
                order = await made.create_limit_order(price="3000.00", size="0.1")
                living.append(order["client_order_index"])
            answer = await made.flush()
            assert (answer["count"], answer["batches"]) == (count, requests)

        async def single() -> None:
            await send(1, 1)

        async def batch() -> None:
            await send(BATCH, 1)

        async def fifty() -> None:
            await send(50, 4)

        does = {"single": single, "batch": batch, "fifty": fifty}[words[1]]
        how = watched if "fifty" in words else timed

        async def measured(amount: int) -> dict[str, Any]:
            answer = await how(amount, does)
            # The stub ends no order; a dealer has a bound for those that live.
            made.feed_ws_orders([canceled(coi) for coi in living])
            living.clear()
            return answer

        play(lambda amount: loop.run_until_complete(measured(amount)))
        loop.run_until_complete(made.aclose())


if __name__ == "__main__":
    _, case_name, base_url, account_index, key_index, private = sys.argv
    run = dealer if case_name.startswith("dealer") else official
    run(case_name, base_url, int(account_index), int(key_index), private)
