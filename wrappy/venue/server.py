"""The local exchange as a server: the doors on a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from wrappy.errors import UsageError
from wrappy.venue.engine import Engine
from wrappy.venue.page import PAGE_PATH
from wrappy.venue.page_state import PageState
from wrappy.venue.rest import RestDoor
from wrappy.venue.stream import StreamDoor
from wrappy.venue.visits import Visits

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from wrappy.venue.clocks import Clock
    from wrappy.venue.flow import Flow
    from wrappy.venue.settings import FlowKind, VenueSettings

LOOPBACK = "127.0.0.1"
_SHUTDOWN_PATIENCE_S = 0.5


class Venue(Engine):
    """A local Lighter exchange: real protocol, made-up money.

    Use it as an async context manager:

        async with Venue(seed=1) as venue:
            print(venue.base_url)

    It listens on the loopback interface only, unless `host` says otherwise.

    Args:
        seed: seeds accounts, keys, the synthetic market and the faults.
        symbols: markets to open; ETH, BTC and SOL by default.
        tape: recorded market that its own symbol replays; the other symbols stay
            synthetic.
        tier: tier of every account: standard, plus or premium.
        accounts: number of user accounts, at least two.
        verify: whether signatures and tokens are checked.
        host: interface to listen on.
        port: port to listen on; 0 takes a free one.
        flow: `"synthetic"`, `"none"`, or a flow of your own.
        clock: the world's time by default; a `SteppedClock` stands still until
            `advance` moves it.
        settings: a whole set of settings instead of the separate arguments above;
            seed, symbols, tape, tier, accounts, verify and flow are then its own.
        admin: whether programs on this machine may change `faults` at
            `/admin/faults`, and send notifications at `/admin/announce`.
        save_log: file to write every input to, for `python -m wrappy.venue replay`;
            packed if its name ends in `.gz`.

    Raises:
        ConfigError: a setting that cannot work.
        UnknownMarketError: a symbol that is not known.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        symbols: Sequence[str] | None = None,
        tape: str | os.PathLike[str] | None = None,
        tier: str = "premium",
        accounts: int = 2,
        verify: bool = True,
        host: str = LOOPBACK,
        port: int = 0,
        flow: FlowKind | Flow | None = None,
        clock: Clock | None = None,
        settings: VenueSettings | None = None,
        admin: bool = False,
        save_log: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            seed=seed,
            symbols=symbols,
            tape=tape,
            tier=tier,
            accounts=accounts,
            verify=verify,
            flow=flow,
            clock=clock,
            settings=settings,
            save_log=save_log,
        )
        self._host, self._port = host, port
        visits = Visits()
        state = PageState(self._floor, self.faults, self.sessions, visits)
        stream = StreamDoor(self.sessions, self._heard)
        self._visits = visits
        self._rest = RestDoor(
            self.answers,
            stream.handle,
            now_us=self._floor.now_us,
            visits=visits,
            state=state.read,
            admin=self.faults if admin else None,
            announce=self.announce,
            ledger=self.ledger,
        )
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """Address of the REST interface.

        Raises:
            UsageError: the venue is not running.
        """
        return f"http://{self._address()}"

    @property
    def ws_url(self) -> str:
        """Address of the WebSocket interface.

        Raises:
            UsageError: the venue is not running.
        """
        return f"ws://{self._address()}/stream"

    @property
    def page_url(self) -> str:
        """Address of the page to look at, for a browser on this machine.

        Raises:
            UsageError: the venue is not running.
        """
        return f"{self.base_url}{PAGE_PATH}"

    def _heard(self, text: str) -> None:
        self._visits.message(text, at_us=self._floor.now_us())

    def _address(self) -> str:
        if self._runner is None or not self._runner.addresses:
            raise UsageError("the venue is not running: use `async with Venue(...)`")
        host, port = self._runner.addresses[0][:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _open(self) -> None:
        self._runner = web.AppRunner(
            self._rest.application(),
            access_log=None,
            shutdown_timeout=_SHUTDOWN_PATIENCE_S,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def _close(self) -> None:
        self._rest.close()
        if self._runner is not None:
            await self._runner.cleanup()


def described(venue: Venue) -> dict[str, object]:
    """Return what a client has to know of a running venue, ready for JSON."""
    return {
        "base_url": venue.base_url,
        "ws_url": venue.ws_url,
        "page_url": venue.page_url,
        "chain_id": venue.chain_id,
        "accounts": [
            {
                "account_index": account.account_index,
                "l1_address": account.l1_address,
                "l1_private_key": account.l1_private_key,
                "tier": account.tier,
                "collateral": account.collateral,
                "api_keys": [
                    {
                        "api_key_index": key.api_key_index,
                        "api_key_private_key": key.api_key_private_key,
                        "public_key": key.public_key,
                    }
                    for key in account.api_keys
                ],
            }
            for account in venue.accounts
        ],
        "markets": [
            {
                "symbol": market.symbol,
                "market_id": market.market_id,
                "price_decimals": market.price_decimals,
                "size_decimals": market.size_decimals,
            }
            for market in venue.markets
        ],
    }
