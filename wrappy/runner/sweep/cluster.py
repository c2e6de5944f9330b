"""Workers on other machines, through Dask."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

CONNECT_S = 30.0
"""Longest wait for the scheduler."""


@contextmanager
def cluster_executor(
    address: str, *, connect_s: float = CONNECT_S
) -> Iterator[Executor]:
    """Give an executor whose workers are those of a Dask cluster.

    The workers need this package and the strategy's module, in the same versions. A
    Dask scheduler lets everybody who reaches it run anything: keep it on a network
    that is yours.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.5:8786`.
        connect_s: longest wait for it.

    Raises:
        ConfigError: `distributed` is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - heavy, may be missing
    except ImportError as error:
        raise ConfigError(
            "cluster: distributed is not installed; pip install "
            "'wrappy-lighter[cluster]'"
        ) from error
    connect: Any = Client
    try:
        client = connect(address, timeout=connect_s, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cluster: no Dask scheduler at {address} ({error}); start one with "
            "`dask scheduler` and give its address"
        ) from error
    try:
        # The same task twice is run twice: a lost one is meant to be tried again.
        executor: Executor = client.get_executor(pure=False)
        yield executor
    finally:
        client.close()
