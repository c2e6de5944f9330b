"""Nonce points made ahead of time: the slow half of a signature, done while idle.

A signature needs a secret random number k and the point k*G. Neither depends on the
message, and the point takes more than half of the time. Two signatures with one k
give the private key away, so what is kept here leaves before it is used, leaves
once, and stays in this process.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections import deque
from typing import NoReturn

from wrappy.errors import ConfigError
from wrappy.signing import schnorr

MAX_CAPACITY = 65_536
"""Most points a store may hold; each takes about 300 bytes."""


class NoncePoints:
    """A store of unused nonce points. Any thread may prepare and take.

    A forked child starts with an empty store, and a store is never copied or
    pickled. One thing cannot be noticed from inside: a virtual machine that is
    restored twice from one snapshot runs twice with the same points. Leave the
    store empty in a process that is to be snapshotted.

    Args:
        capacity: most points it holds, 0..65536; 0 keeps none.

    Raises:
        ConfigError: the capacity is out of range.
    """

    __slots__ = ("__weakref__", "_points")

    def __init__(self, capacity: int) -> None:
        if type(capacity) is not int or not 0 <= capacity <= MAX_CAPACITY:
            raise ConfigError(
                "capacity (a signer's point_capacity) must be an integer from 0 to "
                f"{MAX_CAPACITY}: {capacity!r}"
            )
        # Appending to and popping from a deque are atomic, so there is no lock that
        # a fork could leave locked. One that is full drops its oldest unused.
        self._points: deque[schnorr.NoncePoint] = deque(maxlen=capacity)
        _stores.add(self)

    def __len__(self) -> int:
        return len(self._points)

    def __repr__(self) -> str:
        return f"NoncePoints(capacity={self.capacity}, ready={len(self)})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: a point used twice gives the key away."""
        raise TypeError("NoncePoints are not pickled: a point must not exist twice")

    @property
    def capacity(self) -> int:
        """Most points it holds."""
        return self._points.maxlen or 0

    def prepare(self, count: int) -> int:
        """Make up to `count` points, as many as there is room for.

        Returns:
            How many were made; about half a millisecond each.
        """
        # A signal handler can fork in here. The child goes on with this deque, but
        # its store has another one by then.
        points = self._points
        made = 0
        while made < count and len(points) < self.capacity:
            points.append(schnorr.new_nonce_point())
            made += 1
        return made

    def take(self) -> schnorr.NoncePoint | None:
        """Remove and return a point, or `None` if none is ready."""
        try:
            return self._points.pop()
        except IndexError:
            return None

    def clear(self) -> None:
        """Forget every point."""
        self._points = deque(maxlen=self.capacity)


_stores: weakref.WeakSet[NoncePoints] = weakref.WeakSet()


def clear_all() -> None:
    """Clear every store of the process, as a forked child does before all else."""
    for store in list(_stores):
        store.clear()


if sys.platform != "win32":  # pragma: no branch - there is no fork on Windows
    os.register_at_fork(after_in_child=clear_all)
