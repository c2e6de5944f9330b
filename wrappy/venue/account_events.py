"""What happens to accounts besides trading, as facts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transferred:
    """Money went from one account, or one route of it, to another.

    Attributes:
        transfer_id: counts from 1.
        asset: asset index; 3 is USDC.
        from_route: 0 perps, 1 spot.
        to_route: 0 perps, 1 spot.
        amount: what the receiver got, in the asset's own smallest unit.
        fee: what the sender paid besides, 1e-6 USDC.
    """

    at_us: int
    transfer_id: int
    tx_hash: str
    sender: int
    receiver: int
    asset: int
    from_route: int
    to_route: int
    amount: int
    fee: int

    @property
    def touched(self) -> tuple[int, ...]:
        """Accounts whose balance changed."""
        return tuple(dict.fromkeys((self.sender, self.receiver)))


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Money left the exchange.

    Attributes:
        withdrawal_id: counts from 1.
        asset: asset index; 3 is USDC.
        route: 0 perps, 1 spot.
        amount: in the asset's own smallest unit.
        fee: what the account paid besides, 1e-6 USDC.
        is_fast: whether the bridge's own funds pay it out at once.
    """

    at_us: int
    withdrawal_id: int
    tx_hash: str
    account: int
    asset: int
    route: int
    amount: int
    fee: int = 0
    is_fast: bool = False

    @property
    def touched(self) -> tuple[int, ...]:
        """Accounts whose balance changed."""
        return (self.account,)


@dataclass(frozen=True, slots=True)
class SubAccountOpened:
    """An owner opened another account."""

    at_us: int
    account: int
    master: int


@dataclass(frozen=True, slots=True)
class KeyRegistered:
    """A key slot of an account got a new key.

    Attributes:
        public_key: hex.
    """

    at_us: int
    account: int
    api_key_index: int
    public_key: str


@dataclass(frozen=True, slots=True)
class TierChanged:
    """Every account of an owner went to another tier."""

    at_us: int
    account: int
    tier: str


@dataclass(frozen=True, slots=True)
class MakerOnlyKeysSet:
    """An account said which of its keys may only make."""

    at_us: int
    account: int
    api_key_indexes: tuple[int, ...]
