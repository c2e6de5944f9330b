"""Prepared nonce points: each is used once, and none leaves the process."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wrappy.errors import ConfigError
from wrappy.signing import schnorr
from wrappy.signing.keys import derive_key_pair, secret_scalar
from wrappy.signing.nonce_points import MAX_CAPACITY, NoncePoints, clear_all

REPOSITORY = Path(__file__).resolve().parents[3]
PAIR = derive_key_pair(b"nonce point tests")
MESSAGE = [1, 2, 3, 4, 5]


def test_a_store_is_filled_to_its_capacity_and_no_further():
    points = NoncePoints(3)
    assert (points.capacity, len(points)) == (3, 0)
    assert [points.prepare(2), points.prepare(2), points.prepare(2)] == [2, 1, 0]
    assert len(points) == 3


def test_a_taken_point_is_gone():
    points = NoncePoints(4)
    points.prepare(4)
    taken = [points.take() for _ in range(4)]
    assert len({point.nonce for point in taken}) == 4
    assert len(points) == 0
    assert points.take() is None


def test_a_point_signs_as_a_fresh_nonce_does():
    secret = secret_scalar(PAIR.private_key)
    point = schnorr.new_nonce_point()
    signature = schnorr.sign_with_point(secret, MESSAGE, point)
    assert signature == schnorr.sign_with_nonce(secret, MESSAGE, point.nonce)
    assert schnorr.verify(bytes.fromhex(PAIR.public_key), MESSAGE, signature)


def test_a_cleared_store_forgets_its_points_and_keeps_its_capacity():
    points = NoncePoints(2)
    points.prepare(2)
    points.clear()
    assert (len(points), points.take(), points.capacity) == (0, None, 2)
    assert points.prepare(5) == 2


def test_all_stores_can_be_cleared_at_once():
    stores = [NoncePoints(2), NoncePoints(3)]
    assert [store.prepare(1) for store in stores] == [1, 1]
    clear_all()
    assert [(len(store), store.capacity) for store in stores] == [(0, 2), (0, 3)]


def test_a_store_without_capacity_prepares_nothing():
    points = NoncePoints(0)
    assert (points.prepare(3), points.take(), points.capacity) == (0, None, 0)


@pytest.mark.parametrize("capacity", [-1, MAX_CAPACITY + 1, 1.0, True, None])
def test_a_capacity_out_of_range_is_refused(capacity):
    with pytest.raises(ConfigError, match="capacity"):
        NoncePoints(capacity)


def test_neither_a_store_nor_a_point_shows_or_copies_itself():
    points = NoncePoints(2)
    points.prepare(1)
    assert repr(points) == "NoncePoints(capacity=2, ready=1)"
    point = points.take()
    assert repr(point) == str(point) == "NoncePoint()"
    for secret in (points, point):
        for carry in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="exist twice"):
                carry(secret)


def test_many_threads_never_get_the_same_point():
    points, barrier = NoncePoints(400), threading.Barrier(4)
    taken: list[int] = []

    def work():
        barrier.wait(10)
        points.prepare(50)
        while (point := points.take()) is not None:
            taken.append(point.nonce)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == len(set(taken)) == 200


def run_script(text):
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", text],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_has_none_of_the_parents_points():
    done = run_script("""
import os
from wrappy.signing.nonce_points import NoncePoints
gone, points = NoncePoints(4), NoncePoints(4)
points.prepare(2)
del gone
child = os.fork()
if child == 0:
    clean = len(points) == 0 and points.take() is None and points.prepare(9) == 4
    os._exit(0 if clean else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(points) == 2
""")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_fork_in_the_middle_of_preparing_leaves_the_child_without_the_point():
    done = run_script("""
import os, secrets
from wrappy.signing.nonce_points import NoncePoints
points = NoncePoints(4)
points.prepare(1)
parent, children = os.getpid(), []
true_source = secrets.randbelow
def forking_after(bound):
    value = true_source(bound)
    if os.getpid() == parent and not children:
        children.append(os.fork())
    return value
secrets.randbelow = forking_after
points.prepare(1)
if os.getpid() != parent:
    os._exit(len(points))
assert len(points) == 2
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
""")
    assert (done.returncode, done.stderr) == (0, "")
