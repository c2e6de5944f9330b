"""The examination: asks machine and exchange, and has each answer judged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError, JournalError, WrappyError
from wrappy.lighter.visit import BUNDLED_MARKETS, AccountVisit, Visit
from wrappy.runner.doctor import account as of_account
from wrappy.runner.doctor import clock, machine
from wrappy.runner.doctor.findings import Finding, failure, fine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from pathlib import Path

    from wrappy.lighter.persistence.journal_reading import KeptJournal
    from wrappy.model import Market

_REACH = "wrappy reaches it by HTTPS: check network, DNS, proxy and base_url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined.

    Attributes:
        visit: a look at the exchange, and at the account if there is a key.
        state_folder: folder of journals and locks.
        secrets: files that only the owner may read: what each is, and where.
        symbols: markets that are traded.
        dead_man_s: horizon of the dead man's switch; None or 0 for none.
    """

    visit: Visit
    state_folder: Path
    secrets: Sequence[tuple[str, Path]] = ()
    symbols: Sequence[str] = ()
    dead_man_s: int | None = None


def examine_machine(
    state_folder: Path, secrets: Sequence[tuple[str, Path]] = ()
) -> list[Finding]:
    """Return what is found without asking anybody."""
    return [
        machine.python(),
        machine.libraries(),
        machine.disk(state_folder),
        *machine.state_folder(state_folder),
        *machine.secret_files(secrets),
    ]


async def examine(patient: Patient) -> list[Finding]:
    """Return everything that is found; what cannot be asked is a finding too."""
    found = examine_machine(patient.state_folder, patient.secrets)
    visit = patient.visit
    reached = await _reached(visit)
    found.append(reached)
    if reached.fix:
        return found
    found += await _asked("clock", _clock(visit))
    found += await _asked("chain", _chain(visit))
    markets = await _markets(visit, patient, found)
    if visit.config.budget_redis_url:
        found += await _asked("redis", _redis(visit))
    if isinstance(visit, AccountVisit):
        found += await _account(visit, patient, markets)
    return found


async def _reached(visit: Visit) -> Finding:
    url = visit.config.base_url
    try:
        await visit.told_time()
    except WrappyError as error:
        return failure("exchange", str(error), _REACH)
    return fine("exchange", f"{url} answers")


async def _asked(check: str, question: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await question
    except ConfigError as error:
        return [failure(check, str(error), "correct the setting that is named")]
    except WrappyError as error:
        return [failure(check, str(error), "run the doctor again in a minute")]


async def _clock(visit: Visit) -> list[Finding]:
    bounds = clock.SkewBounds()
    for turn in range(clock.ANSWERS):
        if turn:
            await asyncio.sleep(clock.APART_S)
        bounds.add(*await visit.told_time())
    return [clock.judge(bounds)]


async def _chain(visit: Visit) -> list[Finding]:
    await visit.check_chain()
    return [fine("chain", f"transactions are signed for {visit.config.chain_id}")]


async def _markets(
    visit: Visit, patient: Patient, found: list[Finding]
) -> tuple[Market, ...]:
    try:
        markets = await visit.markets()
    except WrappyError as error:
        found.append(failure("markets", str(error), "run the doctor again"))
        return ()
    found += of_account.decimals(markets, BUNDLED_MARKETS, patient.symbols)
    index = markets[0].market_id if markets else 0
    found += await _asked("stream", _stream(visit, index))
    return markets


async def _stream(visit: Visit, market_index: int) -> list[Finding]:
    try:
        took_s = await visit.first_book(market_index)
    except WrappyError as error:
        fix = "let WebSockets through: proxies and firewalls close them"
        return [failure("stream", str(error), fix)]
    return [fine("stream", f"a book came over the WebSocket in {took_s:.2f} s")]


async def _redis(visit: Visit) -> list[Finding]:
    if await visit.has_budget_redis():
        return [fine("redis", "the shared request budget answers")]
    words = "the shared request budget does not answer"
    fix = "start Redis, or correct budget_redis_url: a part of every limit holds now"
    return [failure("redis", words, fix)]


async def _account(
    visit: AccountVisit, patient: Patient, markets: Sequence[Market]
) -> list[Finding]:
    found = []
    for key in visit.config.api_keys:
        index = key.api_key_index
        try:
            await visit.check_key(key)
        except WrappyError as error:
            fix = "create a key at the exchange for this slot, and give that one"
            found.append(failure("key", str(error), fix))
        else:
            words = f"key {index} is registered for account {visit.account_index}"
            found.append(fine("key", words))
    if any(finding.fix for finding in found):
        # Every question below needs a token of a key that holds.
        return found
    found += await _asked("tier", _tier(visit))
    found += await _asked("orders", _orders(visit, patient, markets))
    return found


async def _tier(visit: AccountVisit) -> list[Finding]:
    told = await visit.tier()
    return of_account.tier(told, standard=visit.config.standard_account)


async def _orders(
    visit: AccountVisit, patient: Patient, markets: Sequence[Market]
) -> list[Finding]:
    keys = visit.config.api_keys
    # Orders and numbers first, the journal after them: what a running bot sends
    # meanwhile is in the journal then.
    live = await visit.account.open_orders(None)
    expected = {
        key.api_key_index: await visit.next_nonce(key.api_key_index) for key in keys
    }
    cancel_at_ms = await visit.scheduled_cancel_ms()
    try:
        journals = await visit.journals()
    except JournalError as error:
        return [failure("journal", str(error), "see docs: journal and restart")]
    writers = visit.writers()
    by_key: dict[int, KeptJournal] = {j.api_key_index: j for j in journals}
    symbols = {market.market_id: market.symbol for market in markets}
    found = [
        of_account.open_orders(
            live, journals, policy=visit.config.unknown_orders, symbols=symbols
        ),
        *(
            of_account.nonces(of_account.Numbers(index, nonce, by_key.get(index)))
            for index, nonce in expected.items()
        ),
        of_account.unsettled(journals, running=bool(writers)),
        of_account.dead_man(
            cancel_at_ms,
            now_s=visit.environment.unix_s(),
            wanted_s=patient.dead_man_s,
            live=len(live),
        ),
    ]
    for key_index, process in writers.items():
        words = f"process {process} sends with key {key_index} now"
        found.append(fine("running", words))
    return found
