"""One signature of a limit order, by each way to make it, and one check of it.

The official library is slow on a process's main thread, which is where the official
client signs; `SdkSigner` is meant for `SigningThread`. Each way runs in a process of
its own. The first two cases call the same shared library.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row, interleaved, main, play, players, row
from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.transactions import CreateOrder
from wrappy.signing import (
    PythonSigner,
    SdkSigner,
    SigningThread,
    derive_key_pair,
    verify_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Callable

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
    "verify_transaction": ("verify", 75),
}
ROUNDS, QUICK_ROUNDS, QUICK_SHARE = 11, 2, 5


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    share = QUICK_SHARE if quick else 1
    amounts = [amount // share for _, amount in CASES.values()]
    commands = [["benchmarks.bench_signing", kind] for kind, _ in CASES.values()]
    with players(*commands) as made:
        figures = interleaved(
            {
                case: partial(player.ask, amount)
                for case, player, amount in zip(CASES, made, amounts, strict=True)
            },
            rounds=QUICK_ROUNDS if quick else ROUNDS,
        )
    return [
        row(
            "signing",
            case,
            figures,
            "us",
            against=None if case in {OFFICIAL, "verify_transaction"} else OFFICIAL,
        )
        for case in CASES
    ]


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


def sdk(size: int) -> Callable[[int], Any]:
    signer = SdkSigner(
        KEY.private_key,
        account_index=ACCOUNT_INDEX,
        api_key_index=API_KEY_INDEX,
        chain_id=CHAIN_ID,
    )
    worker = SigningThread()
    loop = asyncio.new_event_loop()

    async def some(amount: int) -> None:
        for first in range(1, amount + 1, size):
            intents = [intent(first + number) for number in range(size)]
            signed = await worker.sign_many(signer, intents, first_nonce=first)
            assert len(signed) == size

    return lambda amount: loop.run_until_complete(some(amount))


def python() -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    signer = PythonSigner(
        KEY.private_key,
        account_index=ACCOUNT_INDEX,
        api_key_index=API_KEY_INDEX,
        chain_id=CHAIN_ID,
    )
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


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in {kind for kind, _ in CASES.values()}:
        play(partial(microseconds, work_of(sys.argv[1])))
    else:
        main(measure)
