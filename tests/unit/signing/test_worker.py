"""The signing thread: one, lazy, for any loop, fresh after a fork."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wrappy.errors import SignerError
from wrappy.protocol.transactions import CancelOrder
from wrappy.signing import NullSigner
from wrappy.signing.worker import THREAD_NAME, SigningThread, signing_thread

REPOSITORY = Path(__file__).resolve().parents[3]


class TellingSigner(NullSigner):
    """Notes which thread it was called on."""

    def __init__(self):
        super().__init__(account_index=42, api_key_index=5, chain_id=304)
        self.threads = []

    def sign_many(self, intents, *, first_nonce):
        self.threads.append(threading.current_thread())
        return super().sign_many(intents, first_nonce=first_nonce)

    def auth_token(self, *, deadline_s):
        self.threads.append(threading.current_thread())
        return super().auth_token(deadline_s=deadline_s)


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
