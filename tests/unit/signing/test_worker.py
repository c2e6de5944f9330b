"""The signing thread: one, lazy, for any loop, fresh after a fork."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from wrappy.errors import SignerError
from wrappy.protocol.intents import CancelOrder
from wrappy.signing import NullSigner, derive_key_pair
from wrappy.signing.worker import THREAD_NAME, SigningThread, signing_thread

PAIR = derive_key_pair(b"worker tests")
REPOSITORY = Path(__file__).resolve().parents[3]


class TellingSigner(NullSigner):
    """Notes which thread it was called on."""

    def __init__(self):
        super().__init__(account_index=42, api_key_index=5, chain_id=304)
        self.threads = []

    def sign_many(self, intents, *, first_nonce, skip_nonce=False):
        self.threads.append(threading.current_thread())
        return super().sign_many(
            intents, first_nonce=first_nonce, skip_nonce=skip_nonce
        )

    def auth_token(self, *, deadline_s):
        self.threads.append(threading.current_thread())
        return super().auth_token(deadline_s=deadline_s)


class Preparing(NullSigner):
    """Prepares up to `room` signatures; tells what the thread did, in order."""

    def __init__(self, room=5):
        super().__init__(account_index=1, api_key_index=5, chain_id=304)
        self.room = room
        self.steps = []
        self.changed = threading.Condition()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def tell(self, step):
        with self.changed:
            self.steps.append(step)
            self.changed.notify_all()

    def prepare(self, count):
        assert count == 1
        if self.steps.count("point") >= self.room:
            self.tell("full")
            return 0
        self.tell("point")
        assert self.may_go_on.wait(20)
        return 1

    def sign_many(self, intents, *, first_nonce, skip_nonce=False):
        self.tell(first_nonce)
        self.room += len(intents)  # each spends one
        return super().sign_many(
            intents, first_nonce=first_nonce, skip_nonce=skip_nonce
        )

    def wait_for(self, step, times):
        with self.changed:
            enough = self.changed.wait_for(lambda: self.steps.count(step) >= times, 20)
        assert enough, self.steps


@pytest.fixture
def worker():
    thread = SigningThread()
    yield thread
    thread.close()


async def test_signing_happens_on_one_other_thread(worker):
    signer = TellingSigner()
    first = await worker.sign_many(signer, [CancelOrder(0, 1)] * 2, first_nonce=4)
    await worker.auth_token(signer, deadline_s=9)
    assert [tx.nonce for tx in first] == [4, 5]
    assert len(set(signer.threads)) == 1
    assert signer.threads[0].name.startswith(THREAD_NAME)
    assert not signer.threads[0].daemon


async def test_concurrent_calls_are_done_in_turn(worker):
    signer = TellingSigner()
    batches = await asyncio.gather(
        *(
            worker.sign_many(signer, [CancelOrder(0, 1)], first_nonce=nonce)
            for nonce in range(10)
        )
    )
    assert [tx.nonce for (tx,) in batches] == list(range(10))
    assert len(set(signer.threads)) == 1


async def test_a_refusal_reaches_the_caller(worker):
    with pytest.raises(SignerError, match="index"):
        await worker.sign_many(TellingSigner(), [CancelOrder(0, 0)], first_nonce=0)


async def test_any_work_runs_on_the_thread_in_its_turn(worker):
    signer, done = TellingSigner(), []

    def sign_and_write():
        signed = signer.sign_many([CancelOrder(0, 1)], first_nonce=6)
        done.append(threading.current_thread())
        return signed[0].nonce

    nonce, _ = await asyncio.gather(
        worker.run(sign_and_write), worker.run(lambda: done.append("later"))
    )
    assert nonce == 6
    assert done == [signer.threads[0], "later"]


async def test_what_the_work_raises_is_raised_here(worker):
    def fail():
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        await worker.run(fail)


async def test_nonces_may_be_skipped_on_the_thread_too(worker):
    signer = TellingSigner()
    (tx,) = await worker.sign_many(
        signer, [CancelOrder(0, 1)], first_nonce=9, skip_nonce=True
    )
    assert '"L2TxAttributes":{"4":1}' in tx.tx_info


async def test_a_signer_is_prepared_while_nothing_is_to_do(worker):
    signer = Preparing(room=5)
    worker.keep_prepared(signer)
    signer.wait_for("full", 1)
    await worker.sign_many(signer, [CancelOrder(0, 1)] * 2, first_nonce=3)
    signer.wait_for("full", 2)
    # It rests when there is no more room, until a signature makes some.
    assert signer.steps == ["point"] * 5 + ["full", 3] + ["point"] * 2 + ["full"]


async def test_work_waits_for_one_point_and_passes_all_others(worker):
    signer = Preparing(room=50)
    signer.may_go_on.clear()
    worker.keep_prepared(signer)
    signer.wait_for("point", 1)  # the thread is in the middle of the first one
    batches = asyncio.gather(
        *(
            worker.sign_many(signer, [CancelOrder(0, 1)], first_nonce=nonce)
            for nonce in range(3)
        )
    )
    await asyncio.sleep(0)
    signer.may_go_on.set()
    await batches
    signer.wait_for("full", 1)
    assert signer.steps[:4] == ["point", 0, 1, 2]


async def test_a_signer_nobody_holds_is_let_go(worker):
    signer = Preparing(room=1)
    seen = weakref.ref(signer)
    worker.keep_prepared(signer)
    signer.wait_for("point", 1)
    del signer
    await worker.run(gc.collect)
    assert seen() is None


async def test_a_worker_can_be_closed_in_the_middle_of_preparing(worker):
    signer = Preparing(room=10**9)
    worker.keep_prepared(signer)
    signer.wait_for("point", 3)
    worker.close()
    told = len(signer.steps)
    await worker.auth_token(signer, deadline_s=9)
    signer.wait_for("point", told + 1)


def test_the_thread_serves_one_loop_after_the_other(worker):
    signer = TellingSigner()
    for _ in range(3):
        asyncio.run(worker.auth_token(signer, deadline_s=9))
    assert len(set(signer.threads)) == 1


async def test_a_closed_worker_starts_another_thread(worker):
    signer = TellingSigner()
    worker.close()  # nothing to end yet
    await worker.auth_token(signer, deadline_s=9)
    worker.close()
    assert not signer.threads[0].is_alive()
    await worker.auth_token(signer, deadline_s=9)
    assert signer.threads[0] is not signer.threads[1]


def test_the_process_shares_one_worker():
    assert signing_thread() is signing_thread()


def run_script(text):
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", text],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_interpreter_exits_without_a_word_about_the_thread():
    done = run_script("""
import asyncio
from wrappy.signing import NullSigner, signing_thread
signer = NullSigner(account_index=1, api_key_index=5, chain_id=304)
asyncio.run(signing_thread().auth_token(signer, deadline_s=9))
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_interpreter_exits_in_the_middle_of_preparing():
    done = run_script(f"""
import asyncio
from wrappy.signing import PythonSigner, signing_thread
signer = PythonSigner(
    {PAIR.private_key!r}, account_index=1, api_key_index=5, chain_id=304,
    point_capacity=65_536,
)
signing_thread().keep_prepared(signer)
asyncio.run(signing_thread().auth_token(signer, deadline_s=9))
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_prepares_points_of_its_own():
    done = run_script(f"""
import asyncio, os, signal, sys
from wrappy.signing import PythonSigner, signing_thread
signer = PythonSigner(
    {PAIR.private_key!r}, account_index=1, api_key_index=5, chain_id=304,
    point_capacity=3,
)
async def filled():
    while signer.prepared < 3:
        await asyncio.sleep(0.001)
signing_thread().keep_prepared(signer)
asyncio.run(asyncio.wait_for(filled(), 20))
child = os.fork()
if child == 0:
    signal.alarm(20)
    if signer.prepared:
        os._exit(1)
    asyncio.run(signing_thread().auth_token(signer, deadline_s=9))
    asyncio.run(asyncio.wait_for(filled(), 20))
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert signer.prepared == 3
""")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_signs_on_a_thread_of_its_own():
    done = run_script("""
import asyncio, os, signal, sys
from wrappy.signing import NullSigner, signing_thread
signer = NullSigner(account_index=1, api_key_index=5, chain_id=304)
token = lambda: asyncio.run(signing_thread().auth_token(signer, deadline_s=9))
token()
child = os.fork()
if child == 0:
    signal.alarm(20)
    token()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
child = os.fork()
if child == 0:
    signal.alarm(20)
    signing_thread().close()
    token()
    sys.exit(8)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8
token()
""")
    assert (done.returncode, done.stderr) == (0, "")
