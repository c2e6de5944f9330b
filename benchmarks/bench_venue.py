"""What the local exchange carries: orders over REST, subscribers, a simulated day.

Transactions are signed before the clock starts. Each order is created and cancelled
again, so that the book stays as small as it was. The venue is a process of its own;
`nextNonce` at the end proves that it took every transaction. A subscriber that misses
a frame ends the benchmark.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row, interleaved, main, play, players, row
from wrappy._core.matching import BookOrder, MatchingEngine
from wrappy.lighter.wire.doors import RestSendDoor
from wrappy.lighter.wire.transport import RestDoor
from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.intents import CancelOrder, CreateOrder
from wrappy.signing import SdkSigner, SigningThread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wrappy.protocol.intents import Intent, SignedTx

BATCH = 15
LIFETIME_MS = 28 * 86_400_000
PRICE_TICKS = 300_000
SENDS = 300
QUICK_SHARE = 10
ROUNDS, QUICK_ROUNDS = 7, 2
ENGINE_OPERATIONS = 60_000
ENGINE_MID = 10_000
CROWD = 8
LOAD = "benchmarks.venue_load"
SUBSCRIBERS, QUICK_SUBSCRIBERS = 1_000, 20
STREAM_ROUNDS, STREAM_S = 3, 10
DAY_RATES = (1.0, 20.0)
DAY_PART_S, QUICK_DAY_PART_S = 600, 20


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return [
        *rest_rows(rounds, SENDS // QUICK_SHARE if quick else SENDS),
        *engine_rows(rounds, ENGINE_OPERATIONS // (QUICK_SHARE if quick else 1)),
        *subscriber_rows(
            QUICK_ROUNDS if quick else STREAM_ROUNDS,
            QUICK_SUBSCRIBERS if quick else SUBSCRIBERS,
            1 if quick else STREAM_S,
        ),
        *day_rows(rounds, QUICK_DAY_PART_S if quick else DAY_PART_S),
    ]


def rest_rows(rounds: int, amount: int) -> list[Row]:
    venue = ["wrappy.venue", "--json", "--flow", "none", "--symbols", "ETH"]
    venue += ["--accounts", str(CROWD + 1)]
    with players(
        [*venue, "--verify", "all"], [*venue, "--verify", "none"]
    ) as exchanges:
        commands, cases = [], []
        for verify, exchange in zip(("all", "none"), exchanges, strict=True):
            for number, size in enumerate((BATCH, 1)):
                commands.append(client_command(exchange.told, [0], number, size))
                how = f"sendTxBatch of {size}" if size > 1 else "sendTx"
                cases.append(f"venue over REST, {how}, verify {verify}")
            crowd = list(range(1, CROWD + 1))
            commands.append(client_command(exchange.told, crowd, 0, 1))
            cases.append(f"venue over REST, sendTx of {CROWD} clients, verify {verify}")
        with players(*commands) as clients:
            figures = interleaved(
                {
                    case: partial(client.ask, amount)
                    for case, client in zip(cases, clients, strict=True)
                },
                rounds=rounds,
            )
    against = (None, None, None, *cases[:3])
    targets = (None, "120", "120", None, None, "2,000")
    return [
        row("venue", case, figures, "transactions/s", against=other, target=target)
        for case, other, target in zip(cases, against, targets, strict=True)
    ]


def engine_rows(rounds: int, operations: int) -> list[Row]:
    case = "MatchingEngine alone, 50 % add, 40 % cancel, 10 % take, by CPU"
    alone = interleaved({case: partial(engine_rate, operations)}, rounds=rounds)
    return [row("venue", case, alone, "operations/s", target="300,000")]


def subscriber_rows(rounds: int, count: int, seconds: int) -> list[Row]:
    frames = f"{count} WebSocket subscribers of book and trades, none lost"
    ages = f"{count} subscribers, age of a frame, 99th percentile"
    figures: dict[str, list[float]] = {frames: [], ages: []}
    venue = ["wrappy.venue", "--json", "--symbols", "ETH", "--verify", "none"]
    with players(venue) as [exchange]:
        url = exchange.told["ws_url"]
        with players([LOAD, "subscribers", url, str(count)]) as [crowd]:
            for _ in range(rounds):
                told = crowd.ask(seconds)
                if told["lost"]:
                    raise RuntimeError(f"{told['lost']} frames lost: {told}")
                figures[frames].append(told["frames"])
                figures[ages].append(told["age_ms"])
    return [
        row("venue", frames, figures, "frames/s", target="1,000 subscribers"),
        row("venue", ages, figures, "ms"),
    ]


def day_rows(rounds: int, seconds: int) -> list[Row]:
    with players(*([LOAD, "day", str(rate)] for rate in DAY_RATES)) as worlds:
        told = [world.ask(seconds) for world in worlds]
        cases = {
            f"simulated day in process, {rate} flow events/s, "
            f"{round(one['actions'])} changes/s: CPU": (
                lambda world=world: world.ask(seconds)["day_s"]
            )
            for rate, world, one in zip(DAY_RATES, worlds, told, strict=True)
        }
        figures = interleaved(cases, rounds=rounds, warm_up=0)
    return [row("venue", case, figures, "s", target="60 s") for case in cases]


def client_command(
    facts: dict[str, Any], owners: Sequence[int], number: int, size: int
) -> list[str]:
    """Return how to start clients, one for each of `owners`, with key `number`."""
    words = [facts["base_url"], facts["chain_id"], size]
    for place in owners:
        account = facts["accounts"][place]
        key = account["api_keys"][number]  # nonces belong to a key: one client each
        words += [
            account["account_index"],
            key["api_key_index"],
            key["api_key_private_key"],
        ]
    return ["benchmarks.bench_venue", *map(str, words)]


def engine_rate(operations: int) -> float:
    """Return operations a second of CPU of a fresh engine, the same every time."""
    script = list(engine_script(operations))
    engine = MatchingEngine()
    began = time.process_time()
    for order, now_ms in script:
        if isinstance(order, int):
            engine.cancel(order)
        else:
            for _ in engine.execute(order, now_ms=now_ms, reducible=lambda *_: 0):
                pass
    return operations / (time.process_time() - began)


def engine_script(operations: int) -> Iterator[tuple[BookOrder | int, int]]:
    """Yield orders and, as numbers, cancels; some cancels come too late."""
    chance = random.Random(operations)
    resting: list[int] = []
    for number in range(1, operations + 1):
        kind = chance.random()
        is_ask = chance.random() < 0.5
        if kind < 0.4 and resting:
            place = chance.randrange(len(resting))
            resting[place], resting[-1] = resting[-1], resting[place]
            yield resting.pop(), number
            continue
        take = kind >= 0.9
        away = chance.randint(1, 100) * (-1 if take else 1)
        yield (
            BookOrder(
                order_index=number,
                owner=number % 50,
                is_ask=is_ask,
                price=ENGINE_MID + (away if is_ask else -away),
                remaining=chance.randint(1, 100),
                time_in_force=int(
                    TimeInForce.IMMEDIATE_OR_CANCEL
                    if take
                    else TimeInForce.GOOD_TILL_TIME
                ),
            ),
            number,
        )
        if not take:
            resting.append(number)


# What follows runs in the measuring processes.


class Client:
    """Signs ahead, then sends as fast as the venue answers."""

    def __init__(self, url: str, signer: SdkSigner, size: int) -> None:
        self._rest = RestDoor(url)
        self._door = RestSendDoor(self._rest)
        self._signer = signer
        self._worker = SigningThread()
        self._size = size
        self._nonce = 0
        self._intents = pairs(signer.api_key_index * 1_000_000)

    async def next_nonce(self) -> int:
        answer = await self._rest.get(
            "/api/v1/nextNonce",
            {
                "account_index": self._signer.account_index,
                "api_key_index": self._signer.api_key_index,
            },
        )
        nonce: int = answer["nonce"]
        return nonce

    async def aclose(self) -> None:
        await self._rest.aclose()

    async def prepared(self, amount: int) -> list[list[SignedTx]]:
        """Return so many signed transactions, in the parts in which they are sent."""
        first = await self.next_nonce()
        intents = [next(self._intents) for _ in range(amount)]
        signed = await self._worker.sign_many(self._signer, intents, first_nonce=first)
        self._nonce = first + amount
        return [
            signed[start : start + self._size] for start in range(0, amount, self._size)
        ]

    async def send(self, parts: Sequence[list[SignedTx]]) -> None:
        for part in parts:
            await self._door.send(part)

    async def check(self) -> None:
        assert await self.next_nonce() == self._nonce


def pairs(first: int) -> Iterator[Intent]:
    """Yield orders, each with its cancel behind it."""
    for coi in count(first + 1):
        yield CreateOrder(
            market_index=0,
            client_order_index=coi,
            base_amount=1_000,
            price=PRICE_TICKS,
            is_ask=False,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GOOD_TILL_TIME,
            reduce_only=False,
            order_expiry=int(time.time() * 1000) + LIFETIME_MS,
        )
        yield CancelOrder(market_index=0, index=coi)


def run_client(arguments: list[str]) -> None:
    url, chain_id, size, *owners = arguments
    clients = [
        Client(
            url,
            SdkSigner(
                private_key,
                account_index=int(account_index),
                api_key_index=int(api_key_index),
                chain_id=int(chain_id),
            ),
            int(size),
        )
        for account_index, api_key_index, private_key in zip(
            *[iter(owners)] * 3, strict=True
        )
    ]
    loop = asyncio.new_event_loop()
    play(lambda amount: loop.run_until_complete(rate_of_all(clients, amount)))
    for client in clients:
        loop.run_until_complete(client.aclose())


async def rate_of_all(clients: Sequence[Client], amount: int) -> float:
    """Return transactions a second of clients that send at the same time."""
    each = -(-amount // len(clients))
    ready = [await client.prepared(each) for client in clients]
    began = time.perf_counter()
    await asyncio.gather(
        *(one.send(parts) for one, parts in zip(clients, ready, strict=True))
    )
    took = time.perf_counter() - began
    for client in clients:
        await client.check()
    return each * len(clients) / took


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run_client(sys.argv[1:])
    else:
        main(measure)
