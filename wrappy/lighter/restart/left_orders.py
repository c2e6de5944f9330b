"""Orders found at the start: those an earlier process left, and unknown ones."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

from wrappy._core.backoff import Backoff
from wrappy._core.journal_rows import SendStage
from wrappy._core.recovery import READS_APART_S
from wrappy.errors import UnknownOrdersError
from wrappy.lighter.asking.order_search import OrderSearch
from wrappy.lighter.asking.reading import whole
from wrappy.lighter.persistence.journal import known_client_order_indices
from wrappy.lighter.sending.lane import state_folder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from wrappy._core.journal_rows import JournalEntry
    from wrappy.lighter.asking.account import AccountReader
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.pacing.limiter import RequestPace
    from wrappy.lighter.persistence.journal import Journal
    from wrappy.lighter.results import OrderDict
    from wrappy.model import Market
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

logger = logging.getLogger("wrappy.recovery")

LONGEST_PAUSE_S = 5.0
CLOCK_SLACK_MS = 60_000
"""Room for a clock that differs from the exchange's, where nothing hurries."""


class LeftOrders:
    """Finds out which orders of a journal are live and which have ended."""

    def __init__(
        self,
        journal: Journal,
        *,
        signer: Signer,
        rest: RestConnection,
        pace: RequestPace,
        worker: SigningThread,
        unix_s: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._worker = worker
        self._unix_s = unix_s
        self._search = OrderSearch(
            signer=signer, rest=rest, pace=pace, worker=worker, unix_s=unix_s
        )

    async def look(self) -> tuple[list[OrderDict], list[int]]:
        """Mark the rows of ended orders; return live orders, and numbers not seen.

        An order that is on no list has ended when its transaction is too old to be
        executed any more and two looks at the live orders have missed it.

        Raises:
            VenueError, TransportError, ProtocolError: a question failed; ask again.
            JournalError: the journal cannot be read.
        """
        entries = await self._worker.run(self._journal.open_orders)
        if not entries:
            return [], []
        numbers = {number for entry in entries for number in numbers_of(entry)}
        markets = {entry.market_index or 0 for entry in entries}
        now_ms = int(self._unix_s() * 1000)
        # Transactions that may still be on their way through the exchange.
        recent = [e for e in entries if e.expired_at_ms + CLOCK_SLACK_MS >= now_ms]
        live = await self._search.live(markets, numbers)
        missing = numbers - set(live)
        missing -= await self._ended(recent, missing)
        if missing:
            # Not listed at all: ended long ago, on its way, or the lists lag.
            await asyncio.sleep(READS_APART_S)
            for number, row in (await self._search.live(markets, missing)).items():
                live[number] = row
                missing.discard(number)
        unseen: set[int] = set()
        for entry in entries:
            of_entry = set(numbers_of(entry))
            if of_entry & set(live):
                self._journal.mark([entry.tx_hash], SendStage.EXECUTED)
            elif entry in recent and of_entry & missing:
                unseen |= of_entry & missing
            else:
                self._journal.mark([entry.tx_hash], SendStage.ENDED)
        return list(live.values()), sorted(unseen)

    async def _ended(
        self, entries: Iterable[JournalEntry], missing: set[int]
    ) -> set[int]:
        """Return which missing orders of these entries are listed as ended."""
        sought: set[int] = set()
        oldest_ms: int | None = None
        for entry in entries:
            of_entry = missing & set(numbers_of(entry))
            if of_entry:
                sought |= of_entry
                oldest_ms = min(entry.written_ms, oldest_ms or entry.written_ms)
        return await self._search.ended(sought, oldest_ms)


def numbers_of(entry: JournalEntry) -> tuple[int, ...]:
    """Return the client order indices that a creation makes."""
    single = entry.client_order_index
    return (*entry.group_indices, *(() if single is None else (single,)))


async def check_open_orders(
    *,
    account: AccountReader,
    known: Callable[[int], bool],
    config: DealerConfig,
    market: Market,
    cancel: Callable[[Sequence[int]], Awaitable[None]],
) -> list[OrderDict]:
    """Deal with the market's live orders that no journal of the account knows.

    Without a journal nothing is known, so that `unknown_orders="refuse"`, which is
    the default, is passed over then; the other two words hold.

    Args:
        account: reads the account.
        known: whether any journal of the account in the state folder knows a client
            order index.
        config: complete settings.
        market: the dealer's market.
        cancel: cancels orders by the exchange's numbers and returns when that was
            accepted.

    Returns:
        Orders to adopt into the order table.

    Raises:
        UnknownOrdersError: there are some and the settings say `refuse`, or they
            were cancelled and are still there after `reconcile_timeout_s`.
        VenueError, TransportError, ProtocolError: the exchange could not be asked.
        JournalError: a journal of the account cannot be read.
    """
    policy = config.unknown_orders
    if policy == "refuse" and not config.journal:
        return []
    unknown = _unknown(await account.open_orders(market.market_id), known)
    if unknown and config.journal:
        # Others may have placed them since `known` was told. What is live now was
        # written down before it was sent, so this look misses nothing.
        written = known_client_order_indices(
            state_folder(config),
            base_url=config.base_url or "",
            account_index=config.account_index or 0,
        )
        unknown = _unknown(unknown, written.__contains__)
    if not unknown:
        return []
    if policy == "adopt":
        logger.info("adopted %d unknown %s order(s)", len(unknown), market.symbol)
        return unknown
    if policy == "refuse" or config.prefer_high_level:
        # A dry run cancels nothing.
        raise UnknownOrdersError(market.symbol, unknown)
    logger.warning("cancelling %d unknown %s order(s)", len(unknown), market.symbol)
    left = unknown
    try:
        await asyncio.wait_for(
            _cancel_until_gone(unknown, account, market, cancel, left),
            config.reconcile_timeout_s,
        )
    except asyncio.TimeoutError:
        raise UnknownOrdersError(market.symbol, left) from None
    return []


def _unknown(
    rows: Sequence[OrderDict], known: Callable[[int], bool]
) -> list[OrderDict]:
    return [row for row in rows if not known(whole(row, "client_order_index"))]


async def _cancel_until_gone(
    unknown: Sequence[Mapping[str, Any]],
    account: AccountReader,
    market: Market,
    cancel: Callable[[Sequence[int]], Awaitable[None]],
    left: list[OrderDict],
) -> None:
    """Cancel orders and read until none is live; `left` is what still is."""
    backoff = Backoff(ceiling_s=LONGEST_PAUSE_S)
    named = {whole(row, "order_index") for row in unknown}
    await cancel(sorted(named))
    while True:
        rows = await account.open_orders(market.market_id)
        left[:] = [row for row in rows if row.get("order_index") in named]
        if not left:
            return
        await asyncio.sleep(backoff.next(random.random()))
