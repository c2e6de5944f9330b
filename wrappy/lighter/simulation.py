"""Surroundings for a client that lives in a simulation: no threads, no network.

Its clock, its connections and its signers all come from whoever simulates.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

from wrappy._core.coi import COI_EPOCH_S, CoiSequence, grant_lease
from wrappy.lighter.environment import Environment
from wrappy.lighter.persistence.coi_store import coi_store
from wrappy.signing.inline import InlineWorker
from wrappy.signing.keys import public_key_of
from wrappy.signing.null import NullSigner
from wrappy.signing.python import PythonSigner

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.lighter.config import ApiKeyConfig, DealerConfig
    from wrappy.lighter.environment import RestConnection, StreamConnection
    from wrappy.signing import Signer

SimulatedSigner = Literal["null", "python"]
"""`null` leaves signatures empty, which is fast and needs an exchange that does not
check them; `python` signs."""


class CountedNumbers:
    """Client order indices that are the same in every run; no file remembers them.

    Args:
        unix_s: simulated unix seconds, read once.
    """

    def __init__(self, unix_s: Callable[[], float]) -> None:
        # A recorded market may be older than the numbers can say.
        since_s = max(unix_s(), COI_EPOCH_S + 1)
        self._lease = grant_lease(None, since_s, tag=0)
        self._sequence = CoiSequence(self._lease)

    def next(self) -> int:
        """Return an id greater than every id given before."""
        if self._sequence.exhausted:
            lease = self._lease
            self._lease = grant_lease(lease.last_tick, COI_EPOCH_S + 1, tag=0)
            self._sequence.extend(self._lease)
        return self._sequence.next()


class UnsignedKey(NullSigner):
    """A `NullSigner` that names the public key of a private one.

    Args:
        private_key: only the public key is taken from it.
        account_index: the account.
        api_key_index: the key's index.
        chain_id: enters the hash.
        lifetime_ms: how long a transaction may wait for execution.
        taker_lifetime_ms: the same for market and IOC orders.
        clock_ms: returns unix milliseconds.

    Raises:
        CredentialsError: the private key is not usable.
    """

    def __init__(
        self,
        private_key: str,
        *,
        account_index: int,
        api_key_index: int,
        chain_id: int,
        lifetime_ms: int,
        taker_lifetime_ms: int,
        clock_ms: Callable[[], int],
    ) -> None:
        super().__init__(
            account_index=account_index,
            api_key_index=api_key_index,
            chain_id=chain_id,
            lifetime_ms=lifetime_ms,
            taker_lifetime_ms=taker_lifetime_ms,
            clock_ms=clock_ms,
        )
        self._public_key = public_key_of(private_key)

    @property
    def public_key(self) -> str:
        """80 hex digits."""
        return self._public_key


def simulated_environment(
    *,
    unix_s: Callable[[], float],
    open_rest: Callable[..., RestConnection],
    open_stream: Callable[..., StreamConnection],
    signer: SimulatedSigner = "null",
    seed: int | None = None,
    keeps_alive: bool = True,
) -> Environment:
    """Return surroundings in which nothing waits for the world.

    Transactions expire as the settings' `maker_lifetime_ms` and `taker_lifetime_ms`
    say, whichever signer those name: the official library has a clock of its own.

    Args:
        unix_s: simulated unix seconds.
        open_rest: as in `Environment`.
        open_stream: as in `Environment`.
        signer: what signs.
        seed: makes everything that the client draws repeat, with order numbers of
            its own and no files, neither journals nor locks; None for a client that
            draws and keeps as everywhere.
        keeps_alive: as in `Environment`.
    """
    repeats = seed is not None
    chance = random.Random(f"{seed}/client") if repeats else None
    numbers = CountedNumbers(unix_s) if repeats else None
    worker = InlineWorker()
    kind = PythonSigner if signer == "python" else UnsignedKey

    def make_signer(config: DealerConfig, key: ApiKeyConfig) -> Signer:
        return kind(
            key.api_key_private_key,
            account_index=config.account_index or 0,
            api_key_index=key.api_key_index,
            chain_id=config.chain_id or 0,
            lifetime_ms=config.maker_lifetime_ms,
            taker_lifetime_ms=config.taker_lifetime_ms,
            clock_ms=lambda: int(unix_s() * 1_000),
        )

    return Environment(
        unix_s=unix_s,
        open_rest=open_rest,
        open_stream=open_stream,
        make_signer=make_signer,
        worker=lambda: worker,
        watches_loop=False,
        chance=random.random if chance is None else chance.random,
        order_numbers=coi_store if numbers is None else lambda _: numbers,
        keeps_files=not repeats,
        keeps_alive=keeps_alive,
    )
