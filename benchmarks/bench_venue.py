"""What the local exchange carries: over REST with one client, and its engine alone.

Transactions are signed before the clock starts. Each order is created and cancelled
again, so that the book stays as small as it was. The venue is a process of its own;
`nextNonce` at the end proves that it took every transaction.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from benchmarks.measure import Player, Row, interleaved, main, play, players, row
from wrappy._core.matching import BookOrder, MatchingEngine
from wrappy.lighter.wire.doors import RestSendDoor
from wrappy.lighter.wire.transport import RestDoor
from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.intents import CancelOrder, CreateOrder
from wrappy.signing import SdkSigner, SigningThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrappy.protocol.intents import Intent, SignedTx

BATCH = 15
LIFETIME_MS = 28 * 86_400_000
PRICE_TICKS = 300_000
SENDS = 300
QUICK_SHARE = 10
ROUNDS, QUICK_ROUNDS = 7, 2
ENGINE_OPERATIONS = 60_000
ENGINE_MID = 10_000


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds = QUICK_ROUNDS if quick else ROUNDS
    amount = SENDS // QUICK_SHARE if quick else SENDS
    venue = ["wrappy.venue", "--json", "--flow", "none", "--symbols", "ETH"]
    with players(
        [*venue, "--verify", "all"], [*venue, "--verify", "none"]
    ) as exchanges:
        commands, cases = [], []
        for verify, exchange in zip(("all", "none"), exchanges, strict=True):
            for number, size in enumerate((BATCH, 1)):
                commands.append(client_command(exchange, number, size))
                how = f"sendTxBatch of {size}" if size > 1 else "sendTx"
                cases.append(f"venue over REST, {how}, verify {verify}")
        with players(*commands) as clients:
            figures = interleaved(
                {
                    case: partial(client.ask, amount)
                    for case, client in zip(cases, clients, strict=True)
                },
                rounds=rounds,
            )
    rows = [
        row("venue", case, figures, "transactions/s", against=against)
        for case, against in zip(cases, (None, None, cases[0], cases[1]), strict=True)
    ]
    operations = ENGINE_OPERATIONS // (QUICK_SHARE if quick else 1)
    engine = "MatchingEngine alone, 50 % add, 40 % cancel, 10 % take"
    alone = interleaved({engine: partial(engine_rate, operations)}, rounds=rounds)
    rows.append(row("venue", engine, alone, "operations/s"))
    return rows


def client_command(exchange: Player, number: int, size: int) -> list[str]:
    account = exchange.told["accounts"][0]
    key = account["api_keys"][number]  # nonces belong to a key: one client each
    words = (
        exchange.told["base_url"],
        exchange.told["chain_id"],
        account["account_index"],
        key["api_key_index"],
        key["api_key_private_key"],
        size,
    )
    return ["benchmarks.bench_venue", *map(str, words)]


def engine_rate(operations: int) -> float:
    """Return operations a second of a fresh engine, the same ones every time."""
    script = list(engine_script(operations))
    engine = MatchingEngine()
    began = time.perf_counter()
    for order, now_ms in script:
        if isinstance(order, int):
            engine.cancel(order)
        else:
            for _ in engine.execute(order, now_ms=now_ms, reducible=lambda *_: 0):
                pass
    return operations / (time.perf_counter() - began)


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

    async def rate(self, amount: int) -> float:
        """Return transactions a second over `amount` of them."""
        first = await self.next_nonce()
        intents = [next(self._intents) for _ in range(amount)]
        signed = await self._worker.sign_many(self._signer, intents, first_nonce=first)
        parts: list[list[SignedTx]] = [
            signed[start : start + self._size] for start in range(0, amount, self._size)
        ]
        began = time.perf_counter()
        for part in parts:
            await self._door.send(part)
        took = time.perf_counter() - began
        assert await self.next_nonce() == first + amount
        return amount / took


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
    url, chain_id, account_index, api_key_index, private_key, size = arguments
    signer = SdkSigner(
        private_key,
        account_index=int(account_index),
        api_key_index=int(api_key_index),
        chain_id=int(chain_id),
    )
    client = Client(url, signer, int(size))
    loop = asyncio.new_event_loop()
    play(lambda amount: loop.run_until_complete(client.rate(amount)))
    loop.run_until_complete(client.aclose())


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run_client(sys.argv[1:])
    else:
        main(measure)
