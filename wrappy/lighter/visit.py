"""A visit: an exchange, and an account's journals, looked at and left alone.

No key is locked and nothing is sent, so a bot may run with the same keys meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from wrappy._core.receipts import TransactionFate, TransactionReport
from wrappy.errors import RequestTimeoutError
from wrappy.lighter.asking.account import ACCOUNT_PATH, AccountReader
from wrappy.lighter.asking.reading import account_in, decimal, rows_by_market, whole
from wrappy.lighter.config import complete_address, ws_url_for
from wrappy.lighter.environment import NATIVE, Environment
from wrappy.lighter.link import (
    DETAILS_PATH,
    LIMITS_PATH,
    acquire_link,
    release_link,
)
from wrappy.lighter.pacing.shared_budget import SharedBudget
from wrappy.lighter.persistence.journal_reading import read_journals, writer_of
from wrappy.lighter.persistence.state_files import origin
from wrappy.lighter.sending.lane import KeyLane, state_folder
from wrappy.lighter.sending.way import NONCE_PATH
from wrappy.lighter.trading.assembly import token_source
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.protocol.tiers import Tier, tier_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from decimal import Decimal
    from pathlib import Path

    from wrappy.lighter.config import ApiKeyConfig, DealerConfig
    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.persistence.journal_reading import KeptJournal
    from wrappy.lighter.wire.token import AuthTokens
    from wrappy.model import Market

__all__ = [
    "BUNDLED_MARKETS",
    "AccountVisit",
    "MarketRow",
    "Tier",
    "TransactionFate",
    "TransactionReport",
    "Visit",
    "open_visit",
]

_BOOK = b'{"type":"subscribe","channel":"order_book/%d"}'


@dataclass(frozen=True, slots=True)
class MarketRow:
    """A market and what trading there costs.

    Attributes:
        market: its facts.
        status: the exchange's word, such as `active`.
        maker_fee: as the exchange prints it, in percent of the traded value; what
            an account pays is by its tier.
        taker_fee: the same for takers.
    """

    market: Market
    status: str
    maker_fee: Decimal
    taker_fee: Decimal


class Visit:
    """Looks at an exchange; `open_visit` makes one.

    Attributes:
        config: settings with address and chain.
        environment: clocks and connections.
    """

    def __init__(
        self,
        config: DealerConfig,
        environment: Environment,
        link: ExchangeLink,
        rest: RestConnection,
    ) -> None:
        self.config = config
        self.environment = environment
        self._link = link
        self._rest = rest

    async def told_time(self) -> tuple[float, int, float]:
        """Ask what time it is there.

        Returns:
            Our unix seconds when asking, the exchange's whole unix seconds, rounded
            down, and ours when the answer was there.

        Raises:
            ProtocolError: the answer has no time.
            VenueError, TransportError: it could not be asked.
        """
        await self._link.pace.wait("/", urgent=True)
        asked = self.environment.unix_s()
        answer = await self._rest.get("/")
        return asked, whole(answer, "timestamp"), self.environment.unix_s()

    async def check_chain(self) -> None:
        """Compare the settings' chain with the exchange's.

        Raises:
            ConfigError: it is another one.
        """
        await self._link.check_chain(self._rest, self.config)

    async def markets(self) -> tuple[Market, ...]:
        """Return the exchange's markets."""
        return await self._link.markets(self._rest)

    async def market_rows(self) -> list[MarketRow]:
        """Return the exchange's markets with what trading there costs."""
        known = await self.markets()
        await self._link.pace.wait(DETAILS_PATH)
        answer = await self._rest.get(DETAILS_PATH)
        rows: list[MarketRow] = []
        for name in ("order_book_details", "spot_order_book_details"):
            for row in rows_by_market(answer.get(name), name):
                number = whole(row, "market_id")
                rows.append(
                    MarketRow(
                        find_market(known, market_id=number),
                        str(row.get("status") or "unknown"),
                        decimal(row, "maker_fee"),
                        decimal(row, "taker_fee"),
                    )
                )
        return rows

    async def first_book(self, market_index: int, *, timeout_s: float = 10.0) -> float:
        """Connect to the stream and wait for a market's book.

        Returns:
            Seconds until it was there.

        Raises:
            TransportError: no connection, or no book in time.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        url = ws_url_for(self.config.base_url or "")
        stream = self.environment.open_stream(url, timeout_s=timeout_s)
        try:
            await stream.connect()
            await stream.send(_BOOK % market_index)
            while True:
                left_s = began + timeout_s - clock()
                frame = await stream.receive(left_s) if left_s > 0 else None
                if frame is None:
                    raise RequestTimeoutError("the stream sent no book in time")
                if _kind(frame) == "subscribed/order_book":
                    return clock() - began
        finally:
            await stream.aclose()

    async def has_budget_redis(self) -> bool:
        """Return whether the Redis of the settings answers.

        Raises:
            ConfigError: its address cannot be used, or its client is missing.
        """
        budget = SharedBudget(
            self.config.budget_redis_url or "",
            host=origin(self.config.base_url or ""),
            owner=f"account {self.config.account_index}",
            clock=asyncio.get_running_loop().time,
        )
        try:
            await budget.admit("all", 0, limit=1, urgent=False)
            return not budget.is_alone
        finally:
            await budget.aclose()


class AccountVisit(Visit):
    """Looks at an account as well.

    Attributes:
        account: reads it.
        folder: state folder with its journals.
    """

    def __init__(
        self,
        config: DealerConfig,
        environment: Environment,
        link: ExchangeLink,
        rest: RestConnection,
        tokens: AuthTokens,
    ) -> None:
        super().__init__(config, environment, link, rest)
        self._tokens = tokens
        self.folder: Path = state_folder(config)
        self.account = AccountReader(
            self.account_index,
            link=link,
            rest=rest,
            tokens=tokens,
            chance=environment.chance,
        )

    @property
    def account_index(self) -> int:
        """The account."""
        return self.config.account_index or 0

    async def check_key(self, key: ApiKeyConfig) -> None:
        """Compare a key with the exchange's.

        Raises:
            CredentialsError: its slot holds another key, or none.
            SignerError: the signer does not work on this machine.
        """
        signer = self.environment.make_signer(self.config, key)
        lane = KeyLane(self.account_index, key.api_key_index)
        await self._link.check_key(self._rest, signer, lane)

    async def tier(self) -> Tier:
        """Return the account's tier, and pace by it from now on."""
        await self._link.pace.wait(LIMITS_PATH)
        token = await self._tokens.get()
        slot = {"account_index": self.account_index}
        tier = tier_of(await self._rest.get(LIMITS_PATH, slot, token=token.text))
        self._link.pace.adopt(tier)
        return tier

    async def next_nonce(self, api_key_index: int) -> int:
        """Return the number that the exchange expects next of a key."""
        await self._link.pace.wait(NONCE_PATH)
        slot = {"account_index": self.account_index, "api_key_index": api_key_index}
        return whole(await self._rest.get(NONCE_PATH, slot), "nonce")

    async def scheduled_cancel_ms(self) -> int:
        """Return when the exchange cancels everything, unix ms; 0 for never."""
        await self._link.pace.wait(ACCOUNT_PATH)
        token = await self._tokens.get()
        slot: dict[str, str | int] = {"by": "index", "value": self.account_index}
        answer = await self._rest.get(ACCOUNT_PATH, slot, token=token.text)
        account = account_in(answer, self.account_index)
        if account.get("cancel_all_time") is None:
            return 0
        return whole(account, "cancel_all_time")

    async def journals(self) -> list[KeptJournal]:
        """Return what the account's journals say on disk.

        Raises:
            JournalError: one cannot be read.
        """
        return await self.environment.worker().run(
            partial(
                read_journals,
                self.folder,
                base_url=self.config.base_url or "",
                account_index=self.account_index,
            )
        )

    def writers(self) -> dict[int, int]:
        """Return which process sends with which of the settings' keys here."""
        found = {}
        for key in self.config.api_keys:
            process = writer_of(
                self.folder,
                base_url=self.config.base_url or "",
                account_index=self.account_index,
                api_key_index=key.api_key_index,
            )
            if process is not None:
                found[key.api_key_index] = process
        return found


@contextlib.asynccontextmanager
async def open_visit(
    config: DealerConfig, environment: Environment = NATIVE
) -> AsyncIterator[Visit]:
    """Open a look at an exchange; nothing is asked yet.

    Args:
        config: where; with account and key (or token) an `AccountVisit` comes of it.
            What it lacks is not taken from the environment, except the address.
        environment: clocks and connections.

    Raises:
        ConfigError: no address is given anywhere.
    """
    full = complete_address(config)
    link = acquire_link(full)
    try:
        rest = environment.open_rest(
            full.base_url or "",
            timeout_s=full.request_timeout_s,
            on_throttled=link.pace.throttled,
        )
        try:
            tokens = token_source(full, environment, rest, link.pace)
            if tokens is None:
                yield Visit(full, environment, link, rest)
            else:
                yield AccountVisit(full, environment, link, rest, tokens)
        finally:
            await rest.aclose()
    finally:
        release_link(link)


def _kind(frame: bytes) -> str:
    try:
        message: Any = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(message.get("type")) if isinstance(message, dict) else ""
