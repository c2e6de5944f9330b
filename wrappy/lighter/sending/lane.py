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
from typing import TYPE_CHECKING, TypeVar

import msgspec

from wrappy._core.coi import COI_MAX
from wrappy._core.foreign import ForeignAlarm, ForeignWriters
from wrappy._core.nonce import NonceLedger
from wrappy._core.settlement import SettledAs
from wrappy.errors import ConfigError, JournalError
from wrappy.lighter.persistence.coi_store import default_state_dir
from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
from wrappy.lighter.persistence.key_lock import KeyLock
from wrappy.lighter.sending.settling import (
    LaneSettler,
    is_carried_out,
    stage_of_verdict,
)
from wrappy.protocol.intents import CreateGroupedOrders

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from wrappy._core.batch import Queued
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.sending.doubts import DoubtfulBatch
    from wrappy.lighter.sending.way import Way
    from wrappy.protocol.intents import Intent, SignedTx
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

_T = TypeVar("_T")

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
        lingering: batches in doubt whose nonces nobody can use any more; the lane
            goes on without them.
        doubtful_since: when the oldest of them came into doubt, monotone seconds.
        settler: settles them in the background.
        key_checked: whether the exchange knows our public key for this slot.
        recovered: whether an earlier run's journal has been settled.
        left: orders of earlier runs that lived then, by number, and what made them.
        heirs: told whether a transaction of an earlier run was accepted, by hash.
        folder: where journal and lock are, while it is open.
        journal: what is written before it is sent; None when there is none.
        lock: keeps other processes of this machine off the key.
        foreign: sightings of somebody else's nonces.
        on_foreign: called soon with the number of foreign nonces at each sighting.
        flights: sends without an answer.
        flown_by: through whose way they went; two ways may overtake each other.
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
    lingering: list[DoubtfulBatch] = field(default_factory=list)
    doubtful_since: float = 0.0
    settler: LaneSettler = field(init=False)
    key_checked: bool = False
    recovered: bool = False
    left: dict[int, str] = field(default_factory=dict)
    heirs: dict[str, list[Callable[[bool], None]]] = field(default_factory=dict)
    folder: Path | None = None
    journal: Journal | None = None
    lock: KeyLock | None = None
    foreign: ForeignWriters = field(default_factory=ForeignWriters)
    on_foreign: list[Callable[[int], None]] = field(default_factory=list)
    flights: int = 0
    flown_by: Way | None = None
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    broken_from: int | None = None
    users: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _sends: int = 0
    _since_prune: int = 0
    _gone_at: float = 0.0

    def __post_init__(self) -> None:
        self.settler = LaneSettler(self)

    async def open(
        self, config: DealerConfig, worker: SigningThread, *, locks: bool = True
    ) -> None:
        """Lock the key and open its journal; pair with `close`.

        Args:
            config: complete settings.
            worker: opens files off the event loop.
            locks: whether other processes could use the key.

        Raises:
            KeyInUseError: another process has the key.
            JournalError: the journal cannot be used.
            ConfigError: the state folder cannot be used.
        """
        async with self.opening:
            if not self.users:
                try:
                    await to_its_end(
                        worker.run(partial(self._open, config, locks=locks))
                    )
                except asyncio.CancelledError:
                    await to_its_end(worker.run(self._close))
                    raise
            elif state_folder(config) != self.folder:
                raise ConfigError(
                    f"state_dir: key {self.api_key_index} of account "
                    f"{self.account_index} is open in this process with {self.folder}; "
                    "give every dealer on it the same folder"
                )
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
                self.lingering.clear()
                self.heirs.clear()
            if not self.doubtful:
                self.nonces = _new_ledger()
            await to_its_end(worker.run(self._close))

    def _open(self, config: DealerConfig, *, locks: bool) -> None:
        folder = self.folder = state_folder(config)
        if not locks:
            return
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

    def release(
        self,
        batch: DoubtfulBatch,
        verdicts: Mapping[str, SettledAs],
        passed: frozenset[str],
    ) -> None:
        """Let the lane go on: no nonce of a batch can be taken by it any more.

        Args:
            batch: in doubt, at least until now.
            verdicts: what is known of its transactions, by hash.
            passed: hashes whose nonces are gone.
        """
        self.doubtful.remove(batch)
        self.lingering.append(batch)
        batch.released_at = self._gone_at = asyncio.get_running_loop().time()
        # The newest first: only that one can be handed out again at once.
        for tx in reversed(batch.transactions):
            nonces, end = range(tx.nonce, tx.nonce + 1), verdicts.get(tx.tx_hash)
            if end is None and tx.tx_hash in passed:
                self.nonces.pass_by(nonces)
                batch.passed |= {tx.tx_hash}
            else:
                self.nonces.settle(
                    nonces,
                    executed=end in (SettledAs.ACCEPTED, SettledAs.FENCED),
                    passed=end is SettledAs.PASSED,
                )
        self.tell(batch, verdicts)

    def linger(self, batch: DoubtfulBatch) -> None:
        """Find out what became of a batch whose nonces an earlier run has used."""
        batch.released_at = asyncio.get_running_loop().time()
        self.lingering.append(batch)
        self.settler.wake()

    def bequeath(self, news: Mapping[str, bool]) -> None:
        """Tell the heirs of transactions whether they were accepted, by hash."""
        for tx_hash, accepted in news.items():
            for heir in self.heirs.pop(tx_hash, ()):
                heir(accepted)

    def settled(self, batch: DoubtfulBatch, verdicts: Mapping[str, SettledAs]) -> None:
        """Book the end of a doubt that was released before."""
        self.lingering.remove(batch)
        self.tell(batch, verdicts)
        strangers = [h for h in batch.passed if verdicts[h] is SettledAs.PASSED]
        if strangers:
            self._sighted(len(strangers), batch.released_at)

    def tell(self, batch: DoubtfulBatch, verdicts: Mapping[str, SettledAs]) -> None:
        """Note and tell what became of a batch, each transaction once."""
        news = {
            tx.tx_hash: is_carried_out(tx, verdicts[tx.tx_hash])
            for tx in batch.transactions
            if tx.tx_hash in verdicts and tx.tx_hash not in batch.told
        }
        if not news:
            return
        batch.told.update(news)
        for tx_hash in news:
            self.mark([tx_hash], stage_of_verdict(verdicts[tx_hash]))
        batch.on_settled(news)

    def adopt_counter(self, venue_next: int) -> None:
        """Take the exchange's counter, with nothing in flight; look for strangers."""
        self.broken_from = None
        count = self.nonces.sync(venue_next)
        now = asyncio.get_running_loop().time()
        # With what was released before belongs what is missing behind it.
        seen_at, self._gone_at = self._gone_at or now, 0.0
        if count:
            self._sighted(count, seen_at)

    def _sighted(self, count: int, seen_at: float) -> None:
        """Tell that somebody else has used nonces."""
        if self.foreign.seen(count, seen_at) is ForeignAlarm.STOP:
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
            asyncio.get_running_loop().call_soon(hook, count)

    def land(self) -> None:
        """Note that a send has its answer, or will not get one."""
        self.flights -= 1
        if not self.flights:
            self.broken_from = None
        self.landed.set()


async def to_its_end(work: Awaitable[_T]) -> _T:
    """Wait for work that takes milliseconds, whoever cancels us; then be cancelled.

    What runs on a thread goes on when its caller is cancelled, so that nobody would
    know whether it was done.
    """
    running = asyncio.ensure_future(work)
    cancelled = False
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:  # noqa: PERF203 - rare
            cancelled = True
    result = running.result()
    if cancelled:
        raise asyncio.CancelledError
    return result


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
