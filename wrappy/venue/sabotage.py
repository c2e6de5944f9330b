"""Faults that happen inside the exchange, not on the wire: performed here.

A nonce spent by somebody else, a transaction that is accepted and then forgotten, a
clock that jumps, a token that is no good any more, a restart announced.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wrappy.protocol.channels import parse_channel
from wrappy.venue.faults import Occasion, Subject
from wrappy.venue.gate import claimed_account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wrappy.venue.fault_rules import Door
    from wrappy.venue.faults import Faults, Firing
    from wrappy.venue.floor import Floor


class Overtaking:
    """Holds something back until something else has passed it."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self, patience_s: float) -> None:
        """Return when `passed` was called, or when patience is at its end."""
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(passed)
        await asyncio.wait([passed], timeout=patience_s)

    def passed(self) -> None:
        """Let go of everything that is held back."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class Sabotage:
    """Performs the inner faults on one floor.

    Args:
        floor: what is sabotaged.
        faults: the rules.

    Attributes:
        faults: the rules.
        on_shutdown: announces a restart to every stream and closes them so many
            seconds later.
    """

    def __init__(self, floor: Floor, faults: Faults) -> None:
        self._floor = floor
        self.faults = faults
        self.on_shutdown: Callable[[float], None] | None = None

    def perform(self, firing: Firing, look: Callable[[], Subject], token: str) -> None:
        """Do what `firing` asks for inside the exchange; nothing for other acts."""
        rule = firing.rule
        if firing.act == "skew":
            self._floor.clock.skew_us += rule.skew_ms * 1_000
        elif firing.act == "shutdown" and self.on_shutdown is not None:
            self.on_shutdown(firing.delay_s)
        elif firing.act == "expire_token" and token:
            self._floor.expire_token(token)
        elif firing.act == "bump_nonce":
            self._bump(look(), rule.count)

    def pushed(self, frame: str, age_ms: int) -> list[Firing]:
        """Return what goes wrong with a channel's frame on one connection.

        Args:
            frame: the frame; its head is written last, so that no body can pass
                for it.
            age_ms: how long that connection has been open.
        """
        _, _, head = frame.rpartition('"type":"')
        kind, _, rest = head.partition('"')
        _, _, name = rest.partition('"channel":"')
        channel = parse_channel(name.partition('"')[0])
        subject = Subject(None if channel is None else channel.account_index)
        occasion = Occasion(
            "stream",
            "push",
            kind,
            channel="" if channel is None else channel.request_name,
            age_ms=age_ms,
            look=lambda: subject,
        )
        return self._performed(occasion)

    def ticked(self, age_ms: int) -> list[Firing]:
        """Return what goes wrong on a connection that has been open for so long."""
        return self._performed(Occasion("stream", "tick", age_ms=age_ms))

    def _performed(self, occasion: Occasion) -> list[Firing]:
        firings = self.faults.decide(occasion)
        for firing in firings:
            self.perform(firing, occasion.look, "")
        return firings

    def _bump(self, subject: Subject, count: int) -> None:
        account = self._floor.exchange.accounts.get(subject.account or -1)
        if account is None or subject.api_key_index is None:
            return
        if subject.api_key_index in account.api_keys:
            exchange = self._floor.exchange
            exchange.skip_nonces(account.index, subject.api_key_index, count)

    def accepted(self, door: Door, path: str, tx_hashes: Sequence[str]) -> list[Firing]:
        """Let happen what goes wrong right after transactions were accepted."""
        if not self.faults.watches("after_accept"):
            return []

        def look() -> Subject:
            return self._subject(tx_hashes)

        occasion = Occasion(door, "after_accept", path, look=look)
        firings = self.faults.decide(occasion)
        for firing in firings:
            if firing.act == "silent_drop":
                self._forget(tx_hashes, firing.rule.tx_type)
            else:
                self.perform(firing, look, "")
        return firings

    def _subject(self, tx_hashes: Sequence[str]) -> Subject:
        known = [self._floor.exchange.transaction(tx_hash) for tx_hash in tx_hashes]
        records = [record for record in known if record is not None]
        if not records:
            return Subject()
        types = tuple(record.tx_type for record in records)
        return Subject(records[0].account, records[0].api_key_index, types)

    def _forget(self, tx_hashes: Sequence[str], tx_type: int | None) -> None:
        exchange = self._floor.exchange
        for tx_hash in tx_hashes:
            record = exchange.transaction(tx_hash)
            if record is not None and tx_type in (None, record.tx_type):
                exchange.withhold(tx_hash)


def subject_of(
    tx_types: Sequence[object], infos: Sequence[Mapping[str, Any]]
) -> Subject:
    """Return whom transactions are about, from what they say unchecked."""
    types = tuple(number for number in tx_types if isinstance(number, int))
    info = infos[0] if infos else {}
    account = info.get("AccountIndex", info.get("FromAccountIndex"))
    key = info.get("ApiKeyIndex")
    return Subject(
        account if isinstance(account, int) else None,
        key if isinstance(key, int) else None,
        types,
    )


def subject_of_token(token: str, account: object = None) -> Subject:
    """Return whom a reading request is about: the account asked for, or the token's."""
    if isinstance(account, str) and account.isascii() and account.isdigit():
        return Subject(int(account[:19]))
    return Subject(claimed_account(token) if token else None)
