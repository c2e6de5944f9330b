"""Accounts of the local exchange: keys, tiers, orders, balances."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wrappy._core.ledger import AccountLedger
from wrappy.protocol.markets import BUNDLED_MARKETS, USDC_ASSET
from wrappy.protocol.tiers import TIERS, Tier
from wrappy.signing.ethereum import address_of
from wrappy.signing.keys import KeyPair, derive_key_pair
from wrappy.venue.profiles import AccountProfile
from wrappy.venue.spot_balances import SpotBalances, start_balances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.events import FundingPaid, Trade
    from wrappy.venue.liquidation import LiquidationRecord
    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.settings import VenueSettings

FLOW_MAKER = 1
FLOW_TAKER = 2
"""Accounts that stand for everybody else in the market."""

INSURANCE_FUND = (1 << 48) - 2
"""Account that takes over what others can no longer carry, and gets the fees for it.

Its number is the last one there can be.
"""

FEE_COLLECTOR = (1 << 48) - 3
"""Account that gets the fees of spot markets; its number is a choice."""

FIRST_USER_ACCOUNT = 123_456
CLASSIC, UNIFIED = 0, 1
"""Trading modes: spot and perpetual USDC apart, or in one purse (official SDK)."""

FIRST_API_KEY_INDEX = 4
"""0 to 3 belong to the exchange's own applications."""
API_KEYS_PER_ACCOUNT = 2
HISTORY_LENGTH = 10_000


@dataclass(slots=True)
class ApiKey:
    """One key slot: its public half and the next nonce it must use."""

    api_key_index: int
    public_key: str
    nonce: int
    transaction_time_us: int = 0
    busy_until_us: int = 0


@dataclass(slots=True)
class Account:
    """One account of the exchange, with everything it owns.

    Attributes:
        index: account index.
        l1_address: address of the owner on the base chain.
        tier: fees, delays and limits.
        api_keys: by api key index.
        ledger: collateral and positions.
        is_flow: one of the market's own accounts: no margin is asked of it.
        open_orders: live orders by order index: resting, and pending ones.
        by_coi: live orders by client order index.
        history: closed orders, newest last, bounded.
        used_cois: every client order index ever accepted, where that matters.
        trades: own trades, newest last, bounded.
        transactions: hashes of own transactions, newest last, bounded.
        queued_creates: orders of accepted creations not yet executed, by transaction
            hash.
        queued_cois: the same orders by client order index, for those that have one.
        initial_margin_fractions: by market index, 1e-4; follows leverage updates.
        trading_mode: 0 classic, 1 unified: spot markets pay with the collateral.
        spot: assets that are no position; USDC among them in a classic account only.
        integrators: approvals by the integrator's account, as they are shown.
        cancel_all_time_ms: when all orders will be canceled, unix milliseconds; 0
            when nothing is scheduled.
        funding_paid: funding paid so far by market index, 1e-6 USDC; negative where
            more was received.
        fundings: own payments, newest last, bounded.
        liquidations: own forced closes, newest last, bounded.
        profile: who owns it, keys to come, money that came and went.
    """

    index: int
    l1_address: str
    tier: Tier
    api_keys: dict[int, ApiKey]
    ledger: AccountLedger
    is_flow: bool = False
    open_orders: dict[int, VenueOrder] = field(default_factory=dict)
    by_coi: dict[int, VenueOrder] = field(default_factory=dict)
    history: deque[VenueOrder] = field(
        default_factory=lambda: deque(maxlen=HISTORY_LENGTH)
    )
    used_cois: set[int] = field(default_factory=set)
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=HISTORY_LENGTH))
    transactions: deque[str] = field(
        default_factory=lambda: deque(maxlen=HISTORY_LENGTH)
    )
    queued_creates: dict[str, tuple[Mapping[str, Any], ...]] = field(
        default_factory=dict
    )
    queued_cois: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    initial_margin_fractions: dict[int, int] = field(default_factory=dict)
    trading_mode: int = CLASSIC
    spot: SpotBalances = field(default_factory=SpotBalances)
    integrators: dict[int, dict[str, Any]] = field(default_factory=dict)
    cancel_all_time_ms: int = 0
    funding_paid: dict[int, int] = field(default_factory=dict)
    fundings: deque[FundingPaid] = field(
        default_factory=lambda: deque(maxlen=HISTORY_LENGTH)
    )
    liquidations: deque[LiquidationRecord] = field(
        default_factory=lambda: deque(maxlen=HISTORY_LENGTH)
    )
    profile: AccountProfile = field(default_factory=AccountProfile)

    def shares_purse(self, asset: int) -> bool:
        """Return whether spot markets pay that asset from the collateral."""
        return self.trading_mode == UNIFIED and asset == USDC_ASSET

    @property
    def shared_lock(self) -> int:
        """What spot orders lock of the collateral, 1e-6 USDC."""
        if self.trading_mode != UNIFIED:
            return 0
        return self.spot.locked.get(USDC_ASSET, 0)

    def pay(self, asset: int, amount: int) -> None:
        """Give an amount of an asset to the account; a negative one is taken."""
        if self.shares_purse(asset):
            self.ledger.collateral += amount
        else:
            self.spot.add(asset, amount)

    def set_trading_mode(self, mode: int) -> None:
        """Change the trading mode; joining the purses moves the spot USDC over.

        What is in the common purse stays with the collateral when they part again.
        """
        if mode == UNIFIED and self.trading_mode != UNIFIED:
            self.ledger.collateral += self.spot.held.pop(USDC_ASSET, 0)
        self.trading_mode = mode


@dataclass(frozen=True, slots=True)
class VenueApiKey:
    """A key slot with both halves, as handed to whoever runs the local exchange."""

    api_key_index: int
    key_pair: KeyPair

    @property
    def api_key_private_key(self) -> str:
        """Private key, hex."""
        return self.key_pair.private_key

    @property
    def public_key(self) -> str:
        """Public key, hex."""
        return self.key_pair.public_key


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """A ready account: connect with any of its keys.

    Attributes:
        account_index: index of the account.
        l1_address: address of its owner.
        tier: name of its tier.
        collateral: starting USDC, decimal text.
        api_keys: its keys, lowest index first.
        l1_private_key: the owner's key on the base chain, hex: what registers further
            keys and sends money to others. It is made up, like the address.
    """

    account_index: int
    l1_address: str
    tier: str
    collateral: str
    api_keys: tuple[VenueApiKey, ...]
    l1_private_key: str = field(default="", repr=False)


def make_accounts(settings: VenueSettings) -> tuple[VenueAccount, ...]:
    """Derive the user accounts and keys of a seed: equal seed, equal keys."""
    accounts = []
    for number in range(settings.account_count):
        index = FIRST_USER_ACCOUNT + number
        root = f"wrappy venue {settings.seed} account {index}"
        keys = tuple(
            VenueApiKey(slot, derive_key_pair(f"{root} key {slot}".encode()))
            for slot in range(
                FIRST_API_KEY_INDEX, FIRST_API_KEY_INDEX + API_KEYS_PER_ACCOUNT
            )
        )
        wallet = hashlib.sha256(root.encode()).hexdigest()
        whole, part = divmod(settings.collateral, 1_000_000)
        accounts.append(
            VenueAccount(
                index,
                address_of(wallet),
                settings.tier,
                f"{whole}.{part:06}",
                keys,
                wallet,
            )
        )
    return tuple(accounts)


def open_accounts(
    settings: VenueSettings, users: tuple[VenueAccount, ...]
) -> dict[int, Account]:
    """Return the exchange's account table: the users and its own four."""
    opened = [m for m in BUNDLED_MARKETS if m.is_spot and m.symbol in settings.symbols]
    traded = {a for m in opened for a in (m.base_asset_id, m.quote_asset_id)}
    balances = {
        asset: amount
        for asset, amount in start_balances(settings.spot_balances).items()
        if asset in traded
    }
    table = {
        user.account_index: Account(
            index=user.account_index,
            l1_address=user.l1_address,
            tier=settings.tier_named(user.tier),
            api_keys={
                key.api_key_index: ApiKey(
                    key.api_key_index, key.public_key, settings.first_nonce
                )
                for key in user.api_keys
            },
            ledger=AccountLedger(collateral=settings.collateral),
            spot=SpotBalances(dict(balances)),
            profile=AccountProfile(deposited=settings.collateral),
        )
        for user in users
    }
    for index in (FLOW_MAKER, FLOW_TAKER, INSURANCE_FUND, FEE_COLLECTOR):
        table[index] = Account(
            index=index,
            l1_address="0x" + f"{index:040x}",
            tier=TIERS["standard"],
            api_keys={},
            ledger=AccountLedger(collateral=0),
            is_flow=True,
        )
    return table
