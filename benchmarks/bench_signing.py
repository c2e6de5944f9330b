"""One signature of a limit order, by each way to make it, and one check of it.

The official library is slow on a process's main thread, which is where the official
client signs; `SdkSigner` is meant for `SigningThread`. Each way runs in a process of
its own. The first two cases call the same shared library.

The last rows are about the event loop: how long it stands still at most while fifty
orders are signed on the thread, and the same for a loop that signs nothing, which
is what the machine itself does to it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row, interleaved, main, play, players, row
from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.intents import CreateOrder
from wrappy.signing import (
    PythonSigner,
    SdkSigner,
    SigningThread,
    derive_key_pair,
    verify_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from wrappy.signing import Signer

ACCOUNT_INDEX, API_KEY_INDEX, CHAIN_ID = 65, 5, 304
KEY = derive_key_pair(b"benchmarks")
BATCH = 15
LIFETIME_MS = 28 * 86_400_000
OFFICIAL = "official SDK, sign_create_order, main thread"
CASES = {
    OFFICIAL: ("official", 75),
    "official SDK, sign_create_order, another thread": ("official-thread", 300),
    "SdkSigner on SigningThread, 15 at a time": ("sdk-batch", 300),
    "SdkSigner on SigningThread, one at a time": ("sdk-single", 300),
    "PythonSigner.sign, main thread": ("python", 75),
    "PythonSigner.sign, main thread, points prepared": ("python-prepared", 150),
    "verify_transaction": ("verify", 75),
}
IDLE = "gap-none"
GAPS = {
    "no signing": (IDLE, 100),
    "SdkSigner": ("gap-sdk", 100),
    "PythonSigner": ("gap-python", 100),
    "PythonSigner, points prepared": ("gap-prepared", 100),
}
PREPARED_TARGET = "<= 500 us"
GAP_TARGET = "<= 5 ms"
BURST = 50
TICK_S = 0.0005
GAP_ROUNDS = 5
ROUNDS, QUICK_ROUNDS, QUICK_SHARE = 11, 2, 5


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    gaps = {gap_case(name): kind for name, kind in GAPS.items()}
    speeds = played(CASES, QUICK_ROUNDS if quick else ROUNDS, quick=quick)
    pauses = played(gaps, QUICK_ROUNDS if quick else GAP_ROUNDS, quick=quick)
    return [
        row(
            "signing",
            case,
            speeds,
            "us",
            against=None if case in {OFFICIAL, "verify_transaction"} else OFFICIAL,
            target=PREPARED_TARGET if case.endswith("prepared") else None,
        )
        for case in CASES
    ] + [
        row("signing", case, pauses, "ms", target=GAP_TARGET if kind != IDLE else None)
        for case, (kind, _) in gaps.items()
    ]


def played(
    cases: Mapping[str, tuple[str, int]], rounds: int, *, quick: bool
) -> dict[str, list[float]]:
    share = QUICK_SHARE if quick else 1
    commands = [["benchmarks.bench_signing", kind] for kind, _ in cases.values()]
    with players(*commands) as made:
        return interleaved(
            {
                case: partial(player.ask, amount // share)
                for (case, (_, amount)), player in zip(cases.items(), made, strict=True)
            },
            rounds=rounds,
        )


def gap_case(name: str) -> str:
    return f"longest gap of the event loop while signing {BURST} orders, p99: {name}"


# What follows runs in the measuring processes.


def intent(number: int) -> CreateOrder:
    return CreateOrder(
        market_index=0,
        client_order_index=number,
        base_amount=1_000,
        price=300_000,
        is_ask=False,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GOOD_TILL_TIME,
        reduce_only=False,
        order_expiry=int(time.time() * 1000) + LIFETIME_MS,
    )


def microseconds(work: Callable[[int], Any], amount: int) -> float:
    """Return what one operation takes when `work` does `amount` of them."""
    began = time.perf_counter()
    work(amount)
    return (time.perf_counter() - began) / amount * 1e6


def official(*, on_thread: bool) -> Callable[[int], Any]:
    import lighter  # noqa: PLC0415 - only these processes pay for it

    async def made() -> lighter.SignerClient:
        client = lighter.SignerClient(
            url="http://127.0.0.1:9",
            account_index=ACCOUNT_INDEX,
            api_private_keys={API_KEY_INDEX: KEY.private_key},
        )
        await client.close()  # nothing is sent; signing goes on without
        return client

    client = asyncio.run(made())

    def work(amount: int) -> None:
        for number in range(1, amount + 1):
            *_, error = client.sign_create_order(
                market_index=0,
                client_order_index=number,
                base_amount=1_000,
                price=300_000,
                is_ask=False,
                order_type=client.ORDER_TYPE_LIMIT,
                time_in_force=client.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
                nonce=number,
                api_key_index=API_KEY_INDEX,
            )
            assert error is None, error

    if not on_thread:
        return work
    pool = ThreadPoolExecutor(1)
    return lambda amount: pool.submit(work, amount).result()


def sdk_signer() -> SdkSigner:
    return SdkSigner(
        KEY.private_key,
        account_index=ACCOUNT_INDEX,
        api_key_index=API_KEY_INDEX,
        chain_id=CHAIN_ID,
    )


def sdk(size: int) -> Callable[[int], Any]:
    signer = sdk_signer()
    worker = SigningThread()
    loop = asyncio.new_event_loop()

    async def some(amount: int) -> None:
        for first in range(1, amount + 1, size):
            intents = [intent(first + number) for number in range(size)]
            signed = await worker.sign_many(signer, intents, first_nonce=first)
            assert len(signed) == size

    return lambda amount: loop.run_until_complete(some(amount))


def python_signer() -> PythonSigner:
    return PythonSigner(
        KEY.private_key,
        account_index=ACCOUNT_INDEX,
        api_key_index=API_KEY_INDEX,
        chain_id=CHAIN_ID,
    )


def prepared(amount: int) -> float:
    """Return microseconds a signature with the points made before the clock runs."""
    signer = python_signer()
    assert signer.prepare(amount) == amount

    def sign(amount: int) -> None:
        for number in range(1, amount + 1):
            signer.sign(intent(number), nonce=number)

    took = microseconds(sign, amount)
    assert signer.prepared == 0
    return took


async def longest_gap(work: Awaitable[Any]) -> float:
    """Return the longest time between two turns of the loop during `work`, in ms."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await work
    # The turn that ends the work counts too.
    await asyncio.sleep(2 * TICK_S)
    ticking.cancel()
    return longest * 1e3


def gap(kind: str) -> Callable[[int], float]:
    ours = python_signer()
    signer: Signer = sdk_signer() if kind == "gap-sdk" else ours
    worker = SigningThread()

    async def bursts(amount: int) -> float:
        gaps = []
        intents = [intent(number) for number in range(1, BURST + 1)]
        for _ in range(amount):
            if kind == "gap-prepared":
                await worker.run(partial(ours.prepare, BURST))
            if kind == IDLE:
                work = asyncio.sleep(0.02)
            else:
                work = worker.sign_many(signer, intents, first_nonce=1)
            gaps.append(await longest_gap(work))
        return statistics.quantiles(gaps, n=100, method="inclusive")[-1]

    loop = asyncio.new_event_loop()
    return lambda amount: loop.run_until_complete(bursts(amount))


def python() -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    signer = python_signer()
    signed = signer.sign(intent(1), nonce=1)
    info = json.loads(signed.tx_info)

    def sign(amount: int) -> None:
        for number in range(1, amount + 1):
            signer.sign(intent(number), nonce=number)

    def verify(amount: int) -> None:
        for _ in range(amount):
            assert verify_transaction(
                int(signed.tx_type), info, CHAIN_ID, KEY.public_key
            )

    return sign, verify


def work_of(kind: str) -> Callable[[int], Any]:
    if kind.startswith("official"):
        return official(on_thread=kind == "official-thread")
    if kind.startswith("sdk"):
        return sdk(BATCH if kind == "sdk-batch" else 1)
    sign, verify = python()
    return sign if kind == "python" else verify


def measured(kind: str) -> Callable[[int], float]:
    if kind.startswith("gap"):
        return gap(kind)
    if kind == "python-prepared":
        return prepared
    return partial(microseconds, work_of(kind))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] != "--quick":
        play(measured(sys.argv[1]))
    else:
        main(measure)
