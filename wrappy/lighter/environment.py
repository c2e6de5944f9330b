"""What surrounds a client: clocks, connections, signers. Each can be replaced.

The defaults are this machine's clock, the network and the signer of the settings. A
simulation brings its own, and the client does not notice.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wrappy.lighter.persistence.coi_store import coi_store
from wrappy.lighter.wire.transport import RestDoor, StreamDoor
from wrappy.signing.python import PythonSigner
from wrappy.signing.sdk import SdkSigner
from wrappy.signing.worker import signing_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrappy.lighter.config import ApiKeyConfig, DealerConfig
    from wrappy.lighter.persistence.coi_store import OrderNumbers
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread


class RestConnection(Protocol):
    """REST requests to one exchange; `transport.RestDoor` over the network."""

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        token: str | None = None,
    ) -> dict[str, Any]:
        """Ask and return the answer's object; errors as in `wrappy.errors`."""

    async def post_form(self, path: str, form: str) -> dict[str, Any]:
        """Send an urlencoded form and return the answer's object."""

    async def aclose(self) -> None:
        """Ask nothing any more."""


class StreamConnection(Protocol):
    """One WebSocket connection; `transport.StreamDoor` over the network."""

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""

    async def connect(self) -> None:
        """Open the connection, closing an earlier one."""

    async def send(self, frame: bytes) -> None:
        """Send one JSON frame."""

    async def receive(self, timeout_s: float | None) -> bytes | None:
        """Return the next frame, or None when none came in time."""

    async def disconnect(self) -> None:
        """Close the connection; it may be opened again."""

    async def aclose(self) -> None:
        """Close for good."""


def signer_for(config: DealerConfig, key: ApiKeyConfig) -> Signer:
    """Return the signer that a complete config names, for one of its keys."""
    if config.signer == "python":
        return PythonSigner(
            key.api_key_private_key,
            account_index=config.account_index or 0,
            api_key_index=key.api_key_index,
            chain_id=config.chain_id or 0,
            lifetime_ms=config.maker_lifetime_ms,
            taker_lifetime_ms=config.taker_lifetime_ms,
        )
    return SdkSigner(
        key.api_key_private_key,
        account_index=config.account_index or 0,
        api_key_index=key.api_key_index,
        chain_id=config.chain_id or 0,
    )


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a client lives.

    Monotone time is the running event loop's `time()` everywhere, so a loop with a
    clock of its own carries everything that waits.

    Attributes:
        unix_s: unix seconds.
        open_rest: makes a REST connection: (base_url, timeout_s=, on_throttled=).
        open_stream: makes a WebSocket connection: (url, timeout_s=, compress=).
        make_signer: makes the signer of one key.
        worker: runs signers and writes off the event loop.
        watches_loop: whether a thread may watch for a blocked event loop, which
            makes sense in real time only.
        chance: a number in 0 <= u < 1, for the length of pauses.
        order_numbers: makes the source of client order indices, given the settings'
            `state_dir`.
        keeps_alive: whether streams ping, take a silent one for broken and its books
            for stale, and renew the tokens of private channels; where connections
            neither idle away nor break unseen, and channels outlive tokens, they need
            not.
        keeps_files: whether dealers write journals and hold key locks; where nothing
            outlives the run, and nobody else can send, they need neither.
    """

    unix_s: Callable[[], float] = time.time
    open_rest: Callable[..., RestConnection] = RestDoor
    open_stream: Callable[..., StreamConnection] = StreamDoor
    make_signer: Callable[[DealerConfig, ApiKeyConfig], Signer] = signer_for
    worker: Callable[[], SigningThread] = signing_thread
    watches_loop: bool = True
    chance: Callable[[], float] = random.random
    order_numbers: Callable[[str | None], OrderNumbers] = coi_store
    keeps_files: bool = True
    keeps_alive: bool = True


NATIVE = Environment()
"""This machine, the network, the signer of the settings."""
