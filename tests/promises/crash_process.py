"""A bot that kills itself at a named point; the restart tests judge what it left.

It reads one line of JSON from its standard input (settings and the point) and writes
the numbers of its orders as it goes. The places to die at are the seams that a
client's environment offers: its connections, its signer and its worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time

from wrappy import DealerConfig, LighterDealer, WrappyError
from wrappy.lighter.environment import Environment
from wrappy.lighter.wire.transport import RestDoor, StreamDoor
from wrappy.signing.sdk import SdkSigner
from wrappy.signing.worker import SigningThread

SENDS = ("/api/v1/sendTx", "/api/v1/sendTxBatch")
ANSWER_IS_HELD_S = 0.3
KILL_WITHIN_S = 0.0002


class Fate:
    """Where this process dies."""

    point = ""
    armed = False
    sends = 0

    @classmethod
    def meets(cls, point: str) -> None:
        """Die if this is the point; no handler runs, nothing is flushed."""
        if cls.armed and cls.point == point:
            os.kill(os.getpid(), signal.SIGKILL)


def die_soon() -> None:
    """Die from another thread, somewhere inside of what comes next."""
    threading.Timer(KILL_WITHIN_S, os.kill, (os.getpid(), signal.SIGKILL)).start()


def watched(work):
    """Return `work` with an eye on what it asks of SQLite."""
    executed = []

    def seen(_frame, event, what):
        name = getattr(what, "__name__", "")
        if event == "c_return" and name == "executemany":
            Fate.meets("rows inserted, not committed")
            executed.append(name)
        if event == "c_call" and name == "execute" and executed:
            Fate.meets("at the commit")
        if event == "c_return" and name == "execute" and executed:
            Fate.meets("committed, not sent")

    def run():
        if Fate.armed and Fate.point == "inside the journal write":
            die_soon()
        Fate.meets("before signing")
        sys.setprofile(seen)
        try:
            return work()
        finally:
            sys.setprofile(None)

    return run


class FragileThread(SigningThread):
    async def run(self, work):
        return await super().run(watched(work))


class FragileSigner(SdkSigner):
    def sign_many(self, intents, *, first_nonce, skip_nonce=False):
        signed = super().sign_many(
            intents, first_nonce=first_nonce, skip_nonce=skip_nonce
        )
        Fate.meets("signed, not written")
        return signed


async def fragile_send(send):
    """Send, and die before, while or after the exchange answers."""
    if Fate.armed:
        Fate.sends += 1
    Fate.meets(f"before send {Fate.sends}")
    sending = asyncio.ensure_future(send())
    if Fate.armed and Fate.point == f"waiting for answer {Fate.sends}":
        await asyncio.wait([sending], timeout=ANSWER_IS_HELD_S)
        Fate.meets(f"waiting for answer {Fate.sends}")
    try:
        answer = await sending
    except WrappyError:
        Fate.meets(f"answer {Fate.sends} lost")
        raise
    Fate.meets(f"answer {Fate.sends} came, not marked")
    return answer


class FragileRest(RestDoor):
    async def get(self, path, params=None, *, token=None):
        answer = await super().get(path, params, token=token)
        if path == "/api/v1/accountActiveOrders":
            Fate.meets("at the start, key locked")
        return answer

    async def post_form(self, path, form):
        async def send():
            return await RestDoor.post_form(self, path, form)

        return await fragile_send(send)

    async def aclose(self):
        Fate.meets("closing, journal closed")
        await super().aclose()


class FragileStream(StreamDoor):
    async def send(self, frame):
        async def send():
            return await StreamDoor.send(self, frame)

        await (fragile_send(send) if b"sendtx" in frame else send())

    async def aclose(self):
        Fate.meets("closing, journal open")
        await super().aclose()


async def main() -> None:
    task = json.loads(sys.stdin.readline())
    thread = FragileThread()
    environment = Environment(
        open_rest=FragileRest,
        open_stream=FragileStream,
        make_signer=lambda config, key: FragileSigner(
            key.api_key_private_key,
            account_index=config.account_index,
            api_key_index=key.api_key_index,
            chain_id=config.chain_id,
        ),
        worker=lambda: thread,
    )
    Fate.point = task["point"]
    Fate.armed = task["armed_at_start"]
    config = DealerConfig(**task["config"])
    trader = await LighterDealer.create(config, environment=environment)
    print(json.dumps({"started": True}), flush=True)
    for _ in range(task["before"]):
        await order(trader)
    Fate.armed = True
    await order(trader, count=task["count"])
    Fate.meets("answered and marked")
    await trader.aclose()
    Fate.meets("closed")


async def order(trader, count=1) -> None:
    queued = [
        (await trader.create_limit_order(1000 + step, 0.05))["client_order_index"]
        for step in range(count)
    ]
    print(json.dumps({"queued": queued}), flush=True)
    try:
        await trader.flush()
    except WrappyError as error:
        print(json.dumps({"failed": type(error).__name__}), flush=True)
        # Its doubt is settled in the background; that must not end too early.
        deadline = time.monotonic() + 10
        while trader.orders.unknown() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return
    print(json.dumps({"flushed": queued}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
