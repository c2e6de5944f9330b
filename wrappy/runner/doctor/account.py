"""What the doctor concludes of an account: tier, orders, nonces, dead man's switch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from wrappy.lighter.persistence.journal import SendStage
from wrappy.runner.doctor.findings import Finding, failure, fine, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from wrappy.lighter.persistence.journal_reading import KeptJournal
    from wrappy.lighter.visit import Tier
    from wrappy.model import Market

LATEST: Final = 500
"""Rows of a journal whose numbers are looked through."""

_VOID: Final = frozenset({SendStage.REFUSED, SendStage.DEAD})
_STRANGER: Final = (
    "give every program an API key of its own; look at the account's transactions"
)


def tier(told: Tier, *, standard: bool | None) -> list[Finding]:
    """Return what the account may send, and what is left to be known of its quota.

    Args:
        told: as the exchange tells it.
        standard: `standard_account` of the settings.
    """
    caps = told.caps
    words = (
        f"{told.name}: {told.sends_per_minute} sends and "
        f"{told.weight_per_minute} read weight a minute, "
        f"{caps.active_per_market} orders a market, {caps.active_per_account} in all, "
        f"fees {told.maker_fee_tick / 100:.2f} / {told.taker_fee_tick / 100:.2f} bps"
    )
    found = []
    is_standard = told.name == "standard"
    if not told.recognised:
        fix = "update wrappy; until then the lowest limits hold"
        found.append(warning("tier", words, fix))
    elif standard is not None and standard is not is_standard:
        wrong = f"{words}; the settings say standard_account = {str(standard).lower()}"
        fix = "leave standard_account out: the exchange is asked"
        grade = failure if is_standard else warning
        found.append(grade("tier", wrong, fix))
    else:
        found.append(fine("tier", words))
    if told.has_volume_quota:
        words = (
            "this tier spends volume quota with every new order; the exchange tells "
            "the rest only with a send, and a running bot shows it"
        )
        found.append(fine("quota", words))
    else:
        found.append(fine("quota", "this tier has no volume quota to run out of"))
    return found


def decimals(
    markets: Iterable[Market], bundled: Iterable[Market], traded: Collection[str]
) -> list[Finding]:
    """Compare the bundled table with the exchange, and look for the markets traded.

    Args:
        markets: the exchange's.
        bundled: the package's own.
        traded: symbols that strategies name.
    """
    there = {market.symbol.upper(): market for market in markets}
    drifted = []
    for ours in bundled:
        theirs = there.get(ours.symbol.upper())
        if theirs is None:
            continue
        drifted += [
            f"{ours.symbol} {name} {getattr(ours, name)} is {getattr(theirs, name)}"
            for name in ("market_id", "price_decimals", "size_decimals")
            if getattr(ours, name) != getattr(theirs, name)
        ]
    if drifted:
        fix = "update wrappy; orders use the exchange's own numbers meanwhile"
        found = [warning("decimals", f"the bundled table: {'; '.join(drifted)}", fix)]
    else:
        found = [fine("decimals", f"{len(there)} markets, as the bundled table says")]
    for symbol in traded:
        market = there.get(symbol.upper())
        if market is None:
            words = f"{symbol} is not a market of this exchange"
            found.append(failure("market", words, "wrappy markets lists them"))
        elif not market.active:
            words = f"{symbol} is not trading now"
            found.append(failure("market", words, "trade another, or wait"))
    return found


def open_orders(
    rows: Iterable[Mapping[str, Any]],
    journals: Iterable[KeptJournal],
    *,
    policy: str,
    symbols: Mapping[int, str],
) -> Finding:
    """Return whether every live order is known to a journal of this machine.

    Args:
        rows: the live orders.
        journals: those of the account.
        policy: `unknown_orders` of the settings.
        symbols: names of markets by index.
    """
    known = known_orders(journals)
    live = list(rows)
    strange = [row for row in live if row.get("client_order_index") not in known]
    if not strange:
        return fine("open orders", f"{len(live)}, all known to the journal")
    where = sorted(
        {symbols.get(row.get("market_index", -1), "unknown") for row in strange}
    )
    words = f"{len(strange)} of {len(live)} unknown to the journal ({', '.join(where)})"
    if policy == "refuse":
        fix = "wrappy reconcile shows them, --fix cancels them; a bot does not start"
        return failure("open orders", words, fix)
    done = {"adopt": "adopts", "cancel": "cancels"}.get(policy, policy)
    return warning("open orders", words, f"the next start {done} them")


def known_orders(journals: Iterable[KeptJournal]) -> frozenset[int]:
    """Return every client order index that a journal creates."""
    return frozenset(
        number
        for journal in journals
        for entry in journal.entries
        for number in (entry.client_order_index, *entry.group_indices)
        if number is not None
    )


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is known of one key's nonces.

    Attributes:
        api_key_index: the key.
        expected: what the exchange expects next.
        journal: its journal, read after that; None for none.
    """

    api_key_index: int
    expected: int
    journal: KeptJournal | None


def nonces(known: Numbers) -> Finding:
    """Return whether somebody else has signed with a key.

    Numbers that the exchange has counted and no row of the journal has used are
    somebody else's. What was pruned from the journal, or was sent before there was
    one, cannot be told.
    """
    check, key = "nonces", f"key {known.api_key_index}"
    used = sorted(
        {entry.nonce for entry in _last_rows(known.journal) if _used(entry.stage)}
    )
    if not used:
        words = f"{key}: no journal to compare with; the next number is"
        return fine(check, f"{words} {known.expected}")
    ahead = known.expected - used[-1] - 1
    between = sum(after - before - 1 for before, after in pairwise(used))
    if ahead > 0:
        words = f"{key}: {ahead} number(s) used by somebody else since our last send"
        return failure(check, words, _STRANGER)
    if between > 0:
        words = f"{key}: {between} number(s) among ours were used by somebody else"
        return warning(check, words, _STRANGER)
    return fine(check, f"{key}: nobody else signs with it, next is {known.expected}")


def _last_rows(journal: KeptJournal | None) -> Iterable[Any]:
    return () if journal is None else journal.entries[-LATEST:]


def _used(stage: SendStage) -> bool:
    return stage not in _VOID


def unsettled(journals: Iterable[KeptJournal], *, running: bool) -> Finding:
    """Return how many transactions nobody knows the end of.

    Args:
        journals: those of the account.
        running: whether a bot writes them now; what it just sends is no doubt.
    """
    doubts = [
        entry
        for journal in journals
        for entry in journal.entries
        if entry.stage is SendStage.SIGNED
    ]
    if not doubts:
        return fine("journal", "every transaction that was sent is settled")
    words = f"{len(doubts)} transaction(s) without a known end"
    if running:
        return fine("journal", f"{words}; the running bot settles them")
    return warning("journal", words, "the next start settles them; or wrappy reconcile")


def dead_man(
    cancel_at_ms: int, *, now_s: float, wanted_s: int | None, live: int
) -> Finding:
    """Return whether the exchange would cancel everything if the bot fell silent.

    Args:
        cancel_at_ms: when it will, unix milliseconds; 0 for never.
        now_s: unix seconds by the exchange's clock.
        wanted_s: horizon of the settings; None or 0 for no switch.
        live: live orders of the account.
    """
    check = "dead man's switch"
    if cancel_at_ms:
        left_s = cancel_at_ms / 1000 - now_s
        return fine(check, f"armed: everything is cancelled in {left_s:.0f} s")
    if not wanted_s:
        fix = "set dead_man_s under [engine], 300 or more"
        return warning(check, "off, and the settings leave it off", fix)
    if live:
        words = f"not armed, and {live} order(s) lie at the exchange"
        return warning(check, words, "start the bot, or cancel them")
    return fine(check, f"not armed now; a start arms it for {wanted_s} s")
