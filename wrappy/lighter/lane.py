"""One key's lane: its nonces, its order of sending, its doubts, its journal.

There is one lane for each key, whoever sends through it. The first sender locks the
key on this machine and opens its journal, the last one lets go of both.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wrappy._core.coi import COI_MAX
from wrappy._core.foreign import ForeignAlarm, ForeignWriters
from wrappy._core.nonce import NonceLedger
from wrappy._core.settlement import SettledAs
from wrappy.errors import JournalError
from wrappy.lighter.coi_store import default_state_dir
from wrappy.lighter.journal import Journal, JournalEntry, SendStage
from wrappy.lighter.key_lock import KeyLock
from wrappy.lighter.settling import LaneSettler, stage_of_verdict
from wrappy.protocol.intents import CreateGroupedOrders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wrappy._core.batch import Queued
    from wrappy.lighter.config import DealerConfig
    from wrappy.protocol.intents import Intent, SignedTx
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

logger = logging.getLogger("LighterDealer.tx")

LARGEST_BATCH = 50
"""Most that `max_ws_batch` may be."""

DEEPEST_PIPELINE = 8
"""Most that `pipeline_depth` may be."""

PRUNE_EVERY = 2_000
"""Rows written between two prunings of the journal."""


def _new_ledger() -> NonceLedger:
    return NonceLedger(window=LARGEST_BATCH * DEEPEST_PIPELINE)


class Turn:
    """A lane's turn, given up once: when the bytes are out, or in the end."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._held = False

    async def take(self) -> None:
        """Wait for the turn."""
        await self._lock.acquire()
        self._held = True

    def give_up(self) -> None:
        """Let the next one go; a second time does nothing."""
        if self._held:
            self._held = False
            self._lock.release()


@dataclass(slots=True)
class DoubtfulBatch:
    """Transactions on their way, with what is needed to settle a lost answer.

    Attributes:
        nonces: their numbers, in sending order.
        transactions: the signed bytes.
        client_order_indices: orders they act on.
        urgent: whether they are cancels only.
        on_lost: called when the answer is lost.
        on_settled: called with what became of each, when that is known.
    """

    nonces: range
    transactions: tuple[SignedTx, ...]
    client_order_indices: tuple[int, ...]
    urgent: bool
    on_lost: Callable[[], None]
    on_settled: Callable[[tuple[bool, ...]], None]


@dataclass(slots=True, eq=False)
class KeyLane:
    """The one order of sending for an API key.

    Attributes:
        account_index: the account.
        api_key_index: the key.
        nonces: numbers of this key.
        line: held by who waits for the pace, which keeps the order of waiting.
        turn: held from taking a nonce until the answer, or until the bytes are out
            where several sends may be without an answer; keeps the order.
        doubtful: batches that have to be settled before anything else is signed.
        doubtful_since: when the oldest of them came into doubt, monotone seconds.
        settler: settles them in the background.
        key_checked: whether the exchange knows our public key for this slot.
        recovered: whether an earlier run's journal has been settled.
        left: orders of earlier runs that lived then, by number, and what made them.
        journal: what is written before it is sent; None when there is none.
        lock: keeps other processes of this machine off the key.
        foreign: sightings of somebody else's nonces.
        on_foreign: called soon with the number of foreign nonces at each sighting.
        flights: sends without an answer.
        landed: set when one of them has ended.
        broken_from: lowest nonce that was refused while later ones were out.
        users: senders that have opened the lane.
    """

    account_index: int = 0
    api_key_index: int = 0
    nonces: NonceLedger = field(default_factory=_new_ledger)
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    doubtful: list[DoubtfulBatch] = field(default_factory=list)
    doubtful_since: float = 0.0
    settler: LaneSettler = field(init=False)
    key_checked: bool = False
    recovered: bool = False
    left: dict[int, str] = field(default_factory=dict)
    journal: Journal | None = None
    lock: KeyLock | None = None
    foreign: ForeignWriters = field(default_factory=ForeignWriters)
    on_foreign: list[Callable[[int], None]] = field(default_factory=list)
    flights: int = 0
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    broken_from: int | None = None
    users: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _sends: int = 0
    _since_prune: int = 0

    def __post_init__(self) -> None:
        self.settler = LaneSettler(self)

    async def open(self, config: DealerConfig, worker: SigningThread) -> None:
        """Lock the key and open its journal; pair with `close`.

        Raises:
            KeyInUseError: another process has the key.
            JournalError: the journal cannot be used.
            ConfigError: the state folder cannot be used.
        """
        async with self.opening:
            if not self.users:
                await worker.run(partial(self._open, config))
            elif config.journal is not (self.journal is not None):
                logger.warning(
                    "key %d: journal=%s of its first dealer holds for all",
                    self.api_key_index,
                    self.journal is not None,
                )
            self.users += 1

    async def close(self, worker: SigningThread) -> None:
        """Let go; the last one gives lock and journal back."""
        async with self.opening:
            self.users -= 1
            if self.users:
                return
            if self.journal is not None:
                # From here on the journal holds the doubts, and others may send.
                self.doubtful.clear()
            if not self.doubtful:
                self.nonces = _new_ledger()
            await worker.run(self._close)

    def _open(self, config: DealerConfig) -> None:
        folder = state_folder(config)
        base_url = config.base_url or ""
        lock = KeyLock.acquire(
            folder,
            base_url=base_url,
            account_index=self.account_index,
            api_key_index=self.api_key_index,
        )
        try:
            if config.journal:
                self.journal = Journal.open(
                    folder,
                    base_url=base_url,
                    account_index=self.account_index,
                    api_key_index=self.api_key_index,
                    sync=config.journal_sync,
                )
        except BaseException:
            lock.release()
            raise
        self.lock = lock

    def _close(self) -> None:
        journal, self.journal = self.journal, None
        lock, self.lock = self.lock, None
        self.recovered = False
        self.left = {}
        try:
            if journal is not None:
                journal.close()
        finally:
            if lock is not None:
                lock.release()

    def sign(
        self,
        signer: Signer,
        entries: Sequence[Queued[Intent]],
        *,
        first_nonce: int,
        skip_nonce: bool,
        unix_ms: int,
    ) -> list[SignedTx]:
        """Sign and put on disk; runs on the signing thread, in one go.

        Cancels alone may leave although the disk is full: they only shrink risk.

        Raises:
            SignerError: one of them cannot be signed.
            JournalError: they are not on disk; nothing of them may be sent.
        """
        signed = signer.sign_many(
            [entry.intent for entry in entries],
            first_nonce=first_nonce,
            skip_nonce=skip_nonce,
        )
        journal = self.journal
        if journal is None:
            return signed
        self._sends = max(self._sends + 1, unix_ms)
        rows = [
            _row(entry, tx, batch=self._sends, unix_ms=unix_ms)
            for entry, tx in zip(entries, signed, strict=True)
        ]
        try:
            journal.write(rows)
        except JournalError as error:
            if not all(entry.is_cancel for entry in entries):
                raise
            logger.error("cancels go out without a journal: %s", error)  # noqa: TRY400
        self._prune(journal, len(rows))
        return signed

    def _prune(self, journal: Journal, written: int) -> None:
        self._since_prune += written
        if self._since_prune < PRUNE_EVERY:
            return
        self._since_prune = 0
        try:
            journal.prune()
        except JournalError as error:
            logger.warning("the journal could not be shortened: %s", error)

    def mark(self, tx_hashes: Iterable[str], stage: SendStage) -> None:
        """Note in the journal what became of transactions, if there is one."""
        if self.journal is not None:
            self.journal.mark(tx_hashes, stage)

    def doubt(self, batch: DoubtfulBatch) -> None:
        """Hold the lane until it is known what became of a batch."""
        self.nonces.hold(batch.nonces)
        if not self.doubtful:
            self.doubtful_since = asyncio.get_running_loop().time()
        self.doubtful.append(batch)
        batch.on_lost()
        self.settler.wake()

    def settled(self, batch: DoubtfulBatch, verdicts: Mapping[str, SettledAs]) -> None:
        """Book the end of a doubt."""
        self.doubtful.remove(batch)
        ends = [verdicts[tx.tx_hash] for tx in batch.transactions]
        # The newest first: only that one can be handed out again at once.
        for tx, end in reversed(list(zip(batch.transactions, ends, strict=True))):
            self.nonces.settle(
                range(tx.nonce, tx.nonce + 1),
                executed=end is SettledAs.ACCEPTED,
                passed=end is SettledAs.PASSED,
            )
            self.mark([tx.tx_hash], stage_of_verdict(end))
        batch.on_settled(tuple(end is SettledAs.ACCEPTED for end in ends))

    def adopt_counter(self, venue_next: int) -> None:
        """Take the exchange's counter, with nothing in flight; look for strangers."""
        self.broken_from = None
        count = self.nonces.sync(venue_next)
        if not count:
            return
        loop = asyncio.get_running_loop()
        if self.foreign.seen(count, loop.time()) is ForeignAlarm.STOP:
            logger.error(
                "key %d: nonces are used by somebody else, again (%d so far): no new "
                "orders are sent until this is acknowledged; one key, one process",
                self.api_key_index,
                self.foreign.count,
            )
        else:
            logger.warning(
                "key %d: %d nonce(s) were used by somebody else; one key, one process",
                self.api_key_index,
                count,
            )
        for hook in self.on_foreign:
            loop.call_soon(hook, count)

    def land(self) -> None:
        """Note that a send has its answer, or will not get one."""
        self.flights -= 1
        if not self.flights:
            self.broken_from = None
        self.landed.set()


def state_folder(config: DealerConfig) -> Path:
    """Return the folder of journals and key locks."""
    if config.state_dir:
        return Path(config.state_dir).expanduser()
    return default_state_dir()


def _row(
    entry: Queued[Intent], tx: SignedTx, *, batch: int, unix_ms: int
) -> JournalEntry:
    intent = entry.intent
    group: tuple[int, ...] = ()
    touched = entry.touches
    market: int | None
    if isinstance(intent, CreateGroupedOrders):
        group = tuple(order.client_order_index for order in intent.orders)
        market, touched = intent.orders[0].market_index, None
    else:
        market = intent.market_index
    if touched is not None and touched > COI_MAX:
        touched = None  # the exchange's own number
    return JournalEntry(
        nonce=tx.nonce,
        tx_type=int(tx.tx_type),
        tx_hash=tx.tx_hash,
        tx_info=tx.tx_info,
        expired_at_ms=tx.expired_at_ms,
        market_index=market,
        client_order_index=touched,
        group_indices=group,
        batch=batch,
        stage=SendStage.SIGNED,
        written_ms=unix_ms,
        intent=msgspec.json.encode(intent).decode(),
    )
