"""The way in: a request's text becomes a checked transaction at the exchange.

Both doors, REST and WebSocket, send and authenticate through here, so that they
refuse the same things with the same codes.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from wrappy.protocol.intents import TxType
from wrappy.protocol.transactions import (
    TransactionFieldError,
    account_field,
    hash_inputs,
    parse_tx_info,
)
from wrappy.signing.auth_token import AuthToken, parse_auth_token
from wrappy.signing.transaction_hash import transaction_hash
from wrappy.signing.verify import verify_auth_token, verify_transaction_hash
from wrappy.venue.events import TxRefused
from wrappy.venue.exchange import Exchange, Receipt, Refused
from wrappy.venue.l1_signatures import (
    NO_WALLET_SIGNATURE,
    is_signed_by,
    wallet_signs,
)
from wrappy.venue.read_only_tokens import ReadOnlyTokens, parse_read_only_token
from wrappy.venue.sub_accounts import public_key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.venue.accounts import Account
    from wrappy.venue.settings import VenueSettings

INVALID_AUTH: Final = 20013
INVALID_PARAMETER: Final = 20001
LONGEST_TOKEN_LIFE_S: Final = 8 * 3_600
"""A token that runs longer is not valid yet (official API documentation)."""
_KNOWN_TOKENS: Final = 1_000

_T = TypeVar("_T")
_Job = tuple[int, "Mapping[str, Any]", str]


class Gate:
    """Parses, authenticates and submits on behalf of the doors.

    Signatures are checked one after the other on one worker thread: the event loop
    goes on meanwhile, and requests reach the exchange in their order of arrival.
    Where time is not the world's there is no such thread: they are checked at once.

    Args:
        exchange: where accepted transactions go.
        settings: chain id, and whether signatures are checked at all.
        arrive: brings the exchange up to date and returns venue time, unix
            microseconds; called right before something is handed over.
        admit: called with the sender once it is known, and the types of what it
            sends; raises `Refused` when the sender may not send that now.
        threaded: whether there is a worker thread.

    Attributes:
        read_only: tokens that were made here, and only let read.
    """

    def __init__(
        self,
        exchange: Exchange,
        settings: VenueSettings,
        *,
        arrive: Callable[[], int],
        admit: Callable[[Account, Sequence[int]], None],
        threaded: bool = True,
    ) -> None:
        self._exchange = exchange
        self._settings = settings
        self._arrive = arrive
        self._admit = admit
        self._worker = (
            ThreadPoolExecutor(1, thread_name_prefix="wrappy-venue-verify")
            if threaded
            else None
        )
        self._good_tokens: dict[str, str] = {}
        self._ended_tokens: set[str] = set()
        self.read_only = ReadOnlyTokens(exchange.accounts, seed=settings.seed)

    def close(self) -> None:
        """End the worker thread."""
        if self._worker is not None:
            self._worker.shutdown(wait=True, cancel_futures=True)

    async def _at_work(self, work: Callable[[], _T]) -> _T:
        if self._worker is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def send(
        self, tx_type: int, tx_info: str, *, protected: bool = True
    ) -> tuple[Account, Receipt]:
        """Check one transaction and hand it to the exchange; return its sender too.

        Raises:
            Refused: it is not accepted; its nonce stays unused.
        """
        account, items = await self._checked([(tx_type, tx_info)])
        receipt = self._exchange.submit(
            *items[0], now_us=self._arrive(), protected=protected
        )
        return account, receipt

    async def send_batch(
        self, tx_types: Sequence[int], tx_infos: Sequence[str]
    ) -> tuple[Account, list[Receipt]]:
        """Check transactions and hand them over together, or none of them.

        Raises:
            Refused: one of them is not accepted; all nonces stay unused.
        """
        if len(tx_types) != len(tx_infos) or not tx_types:
            raise self._refused(Refused(21513))
        if len(tx_types) > self._settings.batch_limit:
            raise self._refused(Refused(21514))
        account, items = await self._checked(list(zip(tx_types, tx_infos, strict=True)))
        receipts = self._exchange.submit_batch(items, now_us=self._arrive())
        return account, receipts

    def _refused(self, error: Refused) -> Refused:
        # What the exchange itself refuses it also logs; the rest is logged here.
        self._exchange.note(TxRefused(self._arrive(), error.code, error.message))
        return error

    async def _checked(
        self, requests: Sequence[tuple[int, str]]
    ) -> tuple[Account, list[tuple[int, Mapping[str, Any], str]]]:
        jobs: list[_Job] = []
        try:
            for tx_type, text in requests:
                info = _parse(tx_type, text)
                jobs.append((tx_type, info, self._public_key(tx_type, info)))
            account = self._sender(*jobs[0][:2])
            self._admit(account, [kind for kind, _, _ in jobs])
            hashes = await self._hashes(jobs)
            await self._check_wallets(jobs)
        except Refused as error:
            raise self._refused(error) from None
        return account, [
            (kind, info, tx_hash)
            for (kind, info, _), tx_hash in zip(jobs, hashes, strict=True)
        ]

    async def _hashes(self, jobs: list[_Job]) -> list[str]:
        chain_id = self._settings.chain_id
        if not self._settings.verify:
            return [transaction_hash(kind, info, chain_id) for kind, info, _ in jobs]
        return await self._at_work(partial(_verified_hashes, jobs, chain_id))

    async def _check_wallets(self, jobs: list[_Job]) -> None:
        reading, chain_id = self._settings.l1_signatures, self._settings.chain_id
        for kind, info, _ in jobs:
            if not self._settings.verify or reading == "ignored":
                return
            if not wallet_signs(self._exchange.accounts, kind, info):
                continue
            if not info.get("L1Sig") and reading == "checked":
                continue
            address = self._sender(kind, info).l1_address
            if not await self._at_work(
                partial(is_signed_by, address, kind, info, chain_id)
            ):
                raise Refused(NO_WALLET_SIGNATURE)

    def _public_key(self, tx_type: int, info: Mapping[str, Any]) -> str:
        account_index = info[account_field(TxType(tx_type))]
        named = {**info, "AccountIndex": account_index}
        key = self._exchange.check_owner(named, tx_type)
        # A new key signs for itself; that it may come is the wallet's to say.
        is_new = tx_type == TxType.CHANGE_PUB_KEY
        return public_key_of(info) if is_new else key.public_key

    def _sender(self, tx_type: int, info: Mapping[str, Any]) -> Account:
        return self._exchange.accounts[info[account_field(TxType(tx_type))]]

    def expire_token(self, token: str) -> None:
        """Take a token for expired from now on, whatever its deadline says."""
        self._ended_tokens.add(token)

    async def authenticate(self, token: str, account_index: int) -> int:
        """Return until when a token lets its bearer read that account's private data.

        Returns:
            unix seconds.

        Raises:
            Refused: 20013, with the reason: malformed, expired, too long-lived, of
                another account, or not signed by a key of the account.
        """
        if parse_read_only_token(token) is not None:
            return self._check_read_only(token, account_index)
        try:
            parsed = parse_auth_token(token)
        except ValueError:
            raise Refused(INVALID_AUTH, "invalid auth: malformed token") from None
        if parsed.account_index != account_index:
            raise Refused(INVALID_AUTH, "invalid auth: token of another account")
        left_s = parsed.deadline_s - self._arrive() / 1_000_000
        if left_s <= 0 or token in self._ended_tokens:
            raise Refused(INVALID_AUTH, "invalid auth: expired token")
        if left_s > LONGEST_TOKEN_LIFE_S:
            raise Refused(INVALID_AUTH, "invalid auth: token runs longer than 8 hours")
        account = self._exchange.accounts.get(account_index)
        keys = {} if account is None else account.api_keys
        key = keys.get(parsed.api_key_index)
        if key is None:
            raise Refused(INVALID_AUTH, "invalid auth: unknown account or api key")
        if self._settings.verify:
            await self._check_token_signature(token, parsed, key.public_key)
        return parsed.deadline_s

    def _check_read_only(self, text: str, account_index: int) -> int:
        token = self.read_only.find(text)
        if token is None:
            raise Refused(INVALID_AUTH, "invalid auth: unknown or revoked token")
        if token.expires_s <= self._arrive() // 1_000_000 or text in self._ended_tokens:
            raise Refused(INVALID_AUTH, "invalid auth: expired token")
        if not self.read_only.opens(token, account_index):
            raise Refused(INVALID_AUTH, "invalid auth: token of another account")
        return token.expires_s

    async def _check_token_signature(
        self, text: str, token: AuthToken, public_key: str
    ) -> None:
        if self._good_tokens.get(text) == public_key:
            return
        if not await self._at_work(partial(verify_auth_token, token, public_key)):
            raise Refused(INVALID_AUTH, "invalid auth: invalid signature")
        if len(self._good_tokens) >= _KNOWN_TOKENS:
            self._good_tokens.pop(next(iter(self._good_tokens)))
        self._good_tokens[text] = public_key


def claimed_account(token: str) -> int | None:
    """Return the account a token says it is for, unchecked, or None."""
    read_only = parse_read_only_token(token)
    if read_only is not None:
        return read_only.account_index
    try:
        return parse_auth_token(token).account_index
    except ValueError:
        return None


def _parse(tx_type: int, text: str) -> Mapping[str, Any]:
    try:
        info = parse_tx_info(text)
        hash_inputs(tx_type, info, 0)  # for its checks: names and types of all fields
    except TransactionFieldError as error:
        if error.field == "tx_type":
            raise Refused(21505) from None
        raise Refused(21501, f"invalid tx info: {error}") from None
    return info


def _verified_hashes(jobs: Sequence[_Job], chain_id: int) -> list[str]:
    hashes = []
    for tx_type, info, public_key in jobs:
        tx_hash = transaction_hash(tx_type, info, chain_id)
        if not verify_transaction_hash(tx_hash, info["Sig"], public_key):
            raise Refused(21120)
        hashes.append(tx_hash)
    return hashes
