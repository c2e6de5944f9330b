"""Every REST endpoint, with no server around it: questions in, answers out.

The server on a socket and the door inside the process both ask here, so that they
answer the same bytes and go wrong in the same ways.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.intents import TxType
from wrappy.venue.absences import (
    NOT_FOUND,
    READ_BY_ALL,
    READ_BY_BEARERS,
    WRITTEN_BY_ALL,
    WRITTEN_BY_BEARERS,
    for_bearers,
)
from wrappy.venue.account_queries import NOBODY, AccountQueries
from wrappy.venue.account_requests import AccountRequests
from wrappy.venue.chain_queries import ChainQueries
from wrappy.venue.chart_queries import ChartQueries
from wrappy.venue.exchange import Refused
from wrappy.venue.faults import Occasion, garbled
from wrappy.venue.formalities import Formalities
from wrappy.venue.gate import INVALID_AUTH, claimed_account
from wrappy.venue.messages import (
    INTERNAL,
    TOO_MANY,
    Answer,
    Lost,
    Question,
    answer,
    batch_lists,
    receipt_fields,
    refusal,
    retry_after,
    subject_of_texts,
    throttled,
)
from wrappy.venue.money_history import DONE, FAST_WITHDRAWAL_PATH, fast_withdrawal
from wrappy.venue.money_queries import MoneyQueries
from wrappy.venue.parameters import Parameters
from wrappy.venue.profit_queries import ProfitQueries
from wrappy.venue.queries import PublicQueries, known_account
from wrappy.venue.read_only_tokens import parse_read_only_token
from wrappy.venue.referrals import Referrals
from wrappy.venue.render import error_body
from wrappy.venue.sabotage import Overtaking, subject_of_token
from wrappy.venue.side_queries import SideQueries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.protocol.tiers import Tier
    from wrappy.venue.accounts import Account
    from wrappy.venue.fault_rules import Phase
    from wrappy.venue.faults import Firing, Subject
    from wrappy.venue.floor import Floor
    from wrappy.venue.sabotage import Sabotage

SEND_PATH: Final = "/api/v1/sendTx"
BATCH_PATH: Final = "/api/v1/sendTxBatch"
SEND_PATHS: Final = frozenset({SEND_PATH, BATCH_PATH})

_MISSING: Final = 404
_UNAUTHORISED: Final = "invalid auth: authorization is required"
_NAMED_BY: Final = {
    "/api/v1/accountTxs": "account_index",
    "/api/v1/pnl": "index",
    "/api/v1/equity_history/pnl": "index",
}
"""Paths that name the account by `by` and `value`."""
_THROTTLED: Final = 429


class Answers:
    """All REST endpoints on one exchange floor.

    Args:
        floor: what is asked.
        sabotage: what goes wrong.
    """

    def __init__(self, floor: Floor, sabotage: Sabotage) -> None:
        self._floor = floor
        self._sabotage = sabotage
        self._overtaking = Overtaking()
        self._private = AccountQueries(floor)
        self._reads: dict[str, Callable[[Question], Awaitable[Answer]]] = {
            "/api/v1/trades": self._trades
        }
        referrals = Referrals(floor)
        public = {path: none.told for path, none in READ_BY_ALL.items()}
        public |= PublicQueries(floor).routes()
        profits = ProfitQueries(floor)
        own = self._private.routes() | profits.account_routes()
        for more in (SideQueries(floor), MoneyQueries(floor), Formalities(floor)):
            public |= more.public_routes()
            own |= more.account_routes()
        for shown in (ChartQueries(floor), ChainQueries(floor), referrals):
            public |= shown.public_routes()
        bearers = for_bearers(READ_BY_BEARERS) | referrals.bearer_routes()
        bearers |= profits.bearer_routes()
        self._reads |= {path: self._reading(read) for path, read in public.items()}
        self._reads |= {path: self._of_bearer(read) for path, read in bearers.items()}
        self._reads |= {path: self._own(path, read) for path, read in own.items()}
        self._sends: dict[str, Callable[[Question], Awaitable[Answer]]] = {
            SEND_PATH: self._send_tx,
            BATCH_PATH: self._send_tx_batch,
            FAST_WITHDRAWAL_PATH: self._fast_withdraw,
        }
        for path, none in WRITTEN_BY_ALL.items():
            self._sends[path] = self._reading(none.told)
        bearers = for_bearers(WRITTEN_BY_BEARERS) | referrals.bearer_changes()
        self._sends |= {path: self._of_bearer(do) for path, do in bearers.items()}
        changes = referrals.change_routes() | AccountRequests(floor).routes()
        self._sends |= {path: self._changing(do) for path, do in changes.items()}

    async def handle(self, question: Question) -> Answer | Lost:
        """Answer a request, or lose it as the rules of `Faults` say.

        Whatever it raises is for `concluded` to judge.
        """
        faults, twice = self._sabotage.faults, False
        if faults.watches("request"):
            ending, twice = await self._before(question)
            if ending is not None:
                return ending
        found = await self._answered(question)
        if twice:
            await self._answered(question)
        self._overtaking.passed()
        if faults.watches("reply"):
            return await self._after(question, found)
        return found

    def concluded(self, outcome: Answer | Lost | BaseException) -> Answer | Lost:
        """Return the ending for what `handle` returned or raised.

        Raises:
            BaseException: it was no failure but the end of the program.
        """
        if not isinstance(outcome, BaseException):
            return outcome
        if isinstance(outcome, Refused):
            return refusal(outcome, self._floor.settings)
        if not isinstance(outcome, Exception):
            raise outcome
        if not isinstance(outcome, ConnectionError):
            self._floor.record_failure(outcome)
        return answer(error_body(INTERNAL), 500)

    async def _answered(self, question: Question) -> Answer:
        try:
            return await self._respond(question)
        except Refused as error:
            return refusal(error, self._floor.settings)

    async def _respond(self, question: Question) -> Answer:
        self.admit(question)
        post = question.method == "POST"
        if not post and question.method not in ("GET", "HEAD"):
            return answer(error_body(NOT_FOUND), _MISSING)
        handler = (self._sends if post else self._reads).get(question.path)
        if handler is None:
            # Not 405 for a wrong method: that status is the firewall's.
            return answer(error_body(NOT_FOUND), _MISSING)
        return await handler(question)

    def admit(self, question: Question) -> None:
        """Let a request in: bring the exchange up to date, count it.

        Raises:
            Refused: 23000 when there were too many, 29500 when the venue is broken.
        """
        floor = self._floor
        if floor.failure is not None:
            raise Refused(INTERNAL)
        limits = floor.limits
        if limits is not None and question.path not in {*SEND_PATHS, "/stream"}:
            token = question.bearer
            wait = limits.read(
                question.path,
                ip=question.ip,
                owner=self._owner(claimed_account(token) if token else None),
                now=floor.now_us() / 1_000_000,
            )
            if wait:
                raise Refused(TOO_MANY)
        floor.catch_up()

    def _owner(self, account_index: int | None) -> tuple[str, Tier] | None:
        account = self._floor.exchange.accounts.get(account_index or -1)
        return None if account is None else (account.l1_address, account.tier)

    # ------------------------------------------------------------------- faults

    def _firings(self, question: Question, phase: Phase) -> list[Firing]:
        def look() -> Subject:
            return _subject(question)

        firings = self._sabotage.faults.decide(
            Occasion("rest", phase, question.path, look=look)
        )
        for firing in firings:
            self._sabotage.perform(firing, look, question.bearer)
        return firings

    async def _before(self, question: Question) -> tuple[Answer | Lost | None, bool]:
        twice = False
        for firing in self._firings(question, "request"):
            if firing.act == "delay":
                await asyncio.sleep(firing.delay_s)
            elif firing.act == "reorder":
                await self._overtaking.wait(firing.delay_s)
            elif firing.act == "dup":
                twice = True
            elif (ending := _ending(firing)) is not None:
                return ending, False
        return None, twice

    async def _after(self, question: Question, found: Answer) -> Answer | Lost:
        for firing in self._firings(question, "reply"):
            if firing.act == "delay":
                await asyncio.sleep(firing.delay_s)
            elif firing.act == "reorder":
                await self._overtaking.wait(firing.delay_s)
            elif firing.act == "truncate":
                return replace(found, cut=True)
            elif firing.act == "garbage":
                return replace(found, body=garbled(found.body, firing.seed))
            elif (ending := _ending(firing)) is not None:
                return ending
        return found

    # ------------------------------------------------------------------ sending

    async def _send_tx(self, question: Question) -> Answer:
        form = Parameters(question.form)
        tx_type = form.integer("tx_type", low=0, high=255)
        tx_info = form.text("tx_info")
        protected = form.flag("price_protection", default=True)
        receipt, quota_left = await self._floor.send(
            tx_type, tx_info, protected=protected
        )
        self._sabotage.accepted("rest", question.path, [receipt.tx_hash])
        told = receipt_fields([receipt], quota_left)
        return answer({**told, "tx_hash": receipt.tx_hash})

    async def _send_tx_batch(self, question: Question) -> Answer:
        form = Parameters(question.form)
        types, infos = batch_lists(form.text("tx_types"), form.text("tx_infos"))
        receipts, quota_left = await self._floor.send_batch(types, infos)
        hashes = [receipt.tx_hash for receipt in receipts]
        self._sabotage.accepted("rest", question.path, hashes)
        return answer({**receipt_fields(receipts, quota_left), "tx_hash": hashes})

    async def _fast_withdraw(self, question: Question) -> Answer:
        tx_info = fast_withdrawal(Parameters(question.form))
        receipt, _ = await self._floor.send(TxType.TRANSFER, tx_info)
        self._sabotage.accepted("rest", question.path, [receipt.tx_hash])
        return answer(DONE)

    # ------------------------------------------------------------------ reading

    def _reading(
        self, read: Callable[[Parameters], Any]
    ) -> Callable[[Question], Awaitable[Answer]]:
        async def respond(question: Question) -> Answer:
            return answer(read(_parameters(question)))

        return respond

    def _of_bearer(
        self, read: Callable[[Account, Parameters], Any]
    ) -> Callable[[Question], Awaitable[Answer]]:
        # Whom it is about follows from the token; an address has to be its owner's.
        async def respond(question: Question) -> Answer:
            asked = _parameters(question)
            claimed = claimed_account(question.bearer) if question.bearer else None
            index = NOBODY if claimed is None else claimed
            index = asked.integer("account_index", index, low=NOBODY)
            if question.method == "POST":
                _refuse_read_only(question)
            if index == NOBODY:
                raise Refused(INVALID_AUTH, _UNAUTHORISED)
            account = await self._authorised(question, index)
            address = asked.text("l1_address", account.l1_address)
            if address.lower() != account.l1_address.lower():
                raise Refused(INVALID_AUTH, "invalid auth: token of another account")
            return answer(read(account, asked))

        return respond

    def _own(
        self, path: str, read: Callable[[Account, Parameters], Any]
    ) -> Callable[[Question], Awaitable[Answer]]:
        async def respond(question: Question) -> Answer:
            query = Parameters(question.query)
            named_by = _NAMED_BY.get(path)
            if named_by is not None:
                query.choice("by", named_by)
                value = Parameters({"value": query.text("value")})
                index = value.integer("value", low=0)
            else:
                index = query.integer("account_index", low=0)
            return answer(read(await self._authorised(question, index), query))

        return respond

    def _changing(
        self, change: Callable[[Account, Parameters], Any]
    ) -> Callable[[Question], Awaitable[Answer]]:
        async def respond(question: Question) -> Answer:
            form = Parameters(question.form)
            index = form.integer("account_index", low=0)
            _refuse_read_only(question)
            return answer(change(await self._authorised(question, index), form))

        return respond

    async def _trades(self, question: Question) -> Answer:
        query = Parameters(question.query)
        index = query.integer("account_index", NOBODY, low=NOBODY)
        account = None if index == NOBODY else await self._authorised(question, index)
        return answer(self._private.trades(account, query))

    async def _authorised(self, question: Question, account_index: int) -> Account:
        account = known_account(self._floor, account_index)
        token = question.bearer
        if not token:
            raise Refused(INVALID_AUTH, _UNAUTHORISED)
        await self._floor.authenticate(token, account_index)
        self._floor.catch_up()
        return account


def _parameters(question: Question) -> Parameters:
    return Parameters(question.form if question.method == "POST" else question.query)


def _refuse_read_only(question: Question) -> None:
    if parse_read_only_token(question.bearer) is not None:
        raise Refused(INVALID_AUTH, "invalid auth: this token only reads")


def _subject(question: Question) -> Subject:
    form = question.form
    if question.path == SEND_PATH:
        return subject_of_texts(form.get("tx_type", ""), form.get("tx_info", ""))
    if question.path == BATCH_PATH:
        return subject_of_texts(form.get("tx_types", ""), form.get("tx_infos", ""))
    return subject_of_token(question.bearer, question.query.get("account_index"))


def _ending(firing: Firing) -> Answer | Lost | None:
    if firing.act == "drop":
        return Lost.HUNG_UP
    if firing.act == "stall":
        return Lost.STALLED
    if firing.act != "status":
        return None
    code = firing.rule.code
    number = TOO_MANY if code == _THROTTLED else code
    look = "html" if firing.rule.html else "json"
    found = throttled(code, look, error_body(number))
    return retry_after(found) if code == _THROTTLED else found
