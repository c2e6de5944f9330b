"""What has to be known of transactions to settle a lost answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from wrappy.errors import SendOutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.protocol.intents import SignedTx

_T = TypeVar("_T")


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class DoubtfulBatch:
    """Transactions on their way, with what is needed to settle a lost answer.

    Attributes:
        nonces: their numbers, in sending order.
        transactions: the signed bytes.
        client_order_indices: orders they act on.
        urgent: whether they are cancels only.
        on_lost: called when the answer is lost.
        on_settled: called with whether each transaction was accepted after all, by
            hash, as far as it is known and was not told before.
        signed_ms: when they were signed, unix milliseconds, if an earlier run did
            that; their nonces are gone then.
        made_at: when this was made, monotone seconds.
        told: hashes that have been told.
        released_at: when it let go of the lane, monotone seconds.
        passed: hashes whose nonces were gone then, to them or to somebody else.
    """

    nonces: range
    transactions: tuple[SignedTx, ...]
    client_order_indices: tuple[int, ...]
    urgent: bool
    on_lost: Callable[[], None]
    on_settled: Callable[[Mapping[str, bool]], None]
    signed_ms: int | None = None
    made_at: float = field(default_factory=_now)
    told: set[str] = field(default_factory=set)
    released_at: float = 0.0
    passed: frozenset[str] = frozenset()

    def unknown(self) -> SendOutcomeUnknownError:
        """Return the error that tells of the lost answer."""
        hashes = [tx.tx_hash for tx in self.transactions]
        return SendOutcomeUnknownError(self.client_order_indices, hashes)

    @property
    def is_told(self) -> bool:
        """Whether all is known and told."""
        return len(self.told) == len(self.transactions)


def tell_known(
    tell: Callable[[Sequence[_T], Sequence[str], Sequence[bool]], None],
    entries: Sequence[_T],
    hashes: Sequence[str],
    news: Mapping[str, bool],
) -> None:
    """Tell whether those entries were accepted of which there is news.

    Args:
        tell: takes entries, their hashes, and whether each was accepted.
        entries: a whole batch.
        hashes: of the batch.
        news: whether it was accepted, by hash.
    """
    known = [pair for pair in zip(entries, hashes, strict=True) if pair[1] in news]
    tell(
        [entry for entry, _ in known],
        [tx_hash for _, tx_hash in known],
        [news[tx_hash] for _, tx_hash in known],
    )
