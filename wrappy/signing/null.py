"""A signer without a key: right hash, empty signature, for dry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.signing.schnorr import SIGNATURE_BYTES
from wrappy.signing.unsigned import (
    DEFAULT_LIFETIME_MS,
    Identity,
    Lifetimes,
    build_transaction,
    let_others_run,
    refuse_deadline,
    unix_ms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.protocol.intents import Intent, SignedTx

_NO_PUBLIC_KEY = "0" * 80


class NullSigner:
    """Makes well-formed transactions that only an exchange without checks takes.

    Args:
        account_index: the account, 1..2**48-2.
        api_key_index: the key's index, 0..254.
        chain_id: enters the hash; 304 on mainnet, 300 on testnet.
        lifetime_ms: how long a transaction may wait for execution, 1 ms to a day.
        taker_lifetime_ms: the same for an order that is meant to trade at once
            (market, or immediate or cancel); `None` for no difference.
        clock_ms: returns unix milliseconds.

    Raises:
        ConfigError: an index or a lifetime is out of range.
    """

    def __init__(
        self,
        *,
        account_index: int,
        api_key_index: int,
        chain_id: int,
        lifetime_ms: int = DEFAULT_LIFETIME_MS,
        taker_lifetime_ms: int | None = None,
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._identity = Identity(account_index, api_key_index, chain_id)
        self._lifetimes = Lifetimes(lifetime_ms, taker_lifetime_ms)
        self._clock_ms = clock_ms

    @property
    def account_index(self) -> int:
        """The account."""
        return self._identity.account_index

    @property
    def api_key_index(self) -> int:
        """The API key's index."""
        return self._identity.api_key_index

    @property
    def chain_id(self) -> int:
        """The chain that enters the hash."""
        return self._identity.chain_id

    @property
    def public_key(self) -> str:
        """Eighty zeros: there is no key."""
        return _NO_PUBLIC_KEY

    def sign(self, intent: Intent, *, nonce: int, skip_nonce: bool = False) -> SignedTx:
        """Return the transaction of one intent with a signature of zero bytes.

        Raises:
            SignerError: a number is out of range.
        """
        return build_transaction(
            intent,
            self._identity,
            nonce=nonce,
            skip_nonce=skip_nonce,
            now_ms=self._clock_ms(),
            lifetimes=self._lifetimes,
            make_signature=lambda _: bytes(SIGNATURE_BYTES),
        )

    def sign_many(
        self,
        intents: Sequence[Intent],
        *,
        first_nonce: int,
        skip_nonce: bool = False,
    ) -> list[SignedTx]:
        """Make transactions with consecutive nonces, all or none.

        Raises:
            SignerError: a number of one of them is out of range.
        """
        signed: list[SignedTx] = []
        for nonce, intent in enumerate(intents, first_nonce):
            if signed:
                let_others_run()
            signed.append(self.sign(intent, nonce=nonce, skip_nonce=skip_nonce))
        return signed

    def auth_token(self, *, deadline_s: int) -> str:
        """Return a token with a signature of zeros.

        Raises:
            SignerError: the deadline is no such number.
        """
        refuse_deadline(deadline_s)
        zeros = bytes(SIGNATURE_BYTES).hex()
        return f"{deadline_s}:{self.account_index}:{self.api_key_index}:{zeros}"
