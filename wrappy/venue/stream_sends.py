"""Transactions over the WebSocket: taken out of a message, sent, answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from wrappy.venue.exchange import Refused
from wrappy.venue.faults import Subject
from wrappy.venue.messages import (
    batch_lists,
    json_text,
    receipt_fields,
    subject_of_texts,
)
from wrappy.venue.sabotage import subject_of_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.protocol.channels import Channel
    from wrappy.venue.floor import Floor
    from wrappy.venue.subscriptions import Refuse

SEND: Final = "jsonapi/sendtx"
SEND_BATCH: Final = "jsonapi/sendtxbatch"

_UNSUPPORTED_TYPE: Final = 21505
_NOT_SUPPORTED: Final = 30006
_INVALID_DATA: Final = 30007


class Reply(Protocol):
    """Answers a message of a kind with a body."""

    def __call__(
        self, kind: str, message: dict[str, Any], told: dict[str, Any]
    ) -> None:
        """Send the answer."""


class StreamSends:
    """Sends what the messages of one connection carry.

    Args:
        floor: where to.
        accepted: hears the kind of message and the hashes of what was accepted.
        reply: answers a message.
        refuse: sends an error frame.
        readonly: whether the connection may send nothing.
    """

    def __init__(
        self,
        floor: Floor,
        *,
        accepted: Callable[[str, list[str]], None],
        reply: Reply,
        refuse: Refuse,
        readonly: bool,
    ) -> None:
        self._floor = floor
        self._accepted = accepted
        self._reply = reply
        self._refuse = refuse
        self._readonly = readonly

    async def send(self, message: dict[str, Any]) -> None:
        """Send one transaction."""

        async def send(data: dict[str, Any]) -> dict[str, Any]:
            tx_type, text = data.get("tx_type"), json_text(data.get("tx_info"))
            if type(tx_type) is not int:
                raise Refused(_UNSUPPORTED_TYPE)
            protected = data.get("price_protection") is not False
            receipt, quota_left = await self._floor.send(
                tx_type, text, protected=protected
            )
            self._accepted(SEND, [receipt.tx_hash])
            told = receipt_fields([receipt], quota_left)
            return {**told, "tx_hash": receipt.tx_hash}

        await self._answer(SEND, message, send)

    async def send_batch(self, message: dict[str, Any]) -> None:
        """Send several transactions together."""

        async def send(data: dict[str, Any]) -> dict[str, Any]:
            types, infos = batch_lists(
                json_text(data.get("tx_types")), json_text(data.get("tx_infos"))
            )
            receipts, quota_left = await self._floor.send_batch(types, infos)
            hashes = [receipt.tx_hash for receipt in receipts]
            self._accepted(SEND_BATCH, hashes)
            return {**receipt_fields(receipts, quota_left), "tx_hash": hashes}

        await self._answer(SEND_BATCH, message, send)

    async def _answer(
        self,
        kind: str,
        message: dict[str, Any],
        send: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
    ) -> None:
        data = message.get("data")
        if not isinstance(data, dict):
            self._refuse(_INVALID_DATA)
            return
        echo = echo_of(message)
        if self._readonly:
            self._refuse(_NOT_SUPPORTED, **echo)
            return
        try:
            told = await send(data)
        except Refused as error:
            self._refuse(error.code, error.message, **echo)
            return
        self._reply(kind, message, {**told, **echo, "type": kind})


def echo_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer repeats of a message: its id, if it has one."""
    data = message.get("data")
    return {"id": data["id"]} if isinstance(data, dict) and "id" in data else {}


def subject_of_message(message: dict[str, Any], wanted: Channel | None) -> Subject:
    """Return whom a message is about: a sender, a channel's or a token's account.

    Args:
        message: as it came.
        wanted: the channel that it names, or None.
    """
    data = message.get("data")
    if isinstance(data, dict):
        for types, infos in (("tx_type", "tx_info"), ("tx_types", "tx_infos")):
            if types in data:
                return subject_of_texts(
                    json_text(data[types]), json_text(data.get(infos))
                )
    if wanted is not None and wanted.account_index is not None:
        return Subject(wanted.account_index)
    token = message.get("auth")
    return subject_of_token(token if isinstance(token, str) else "")
