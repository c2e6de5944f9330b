"""Blocks and what is in them. They are counted here and committed nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.venue.exchange import Refused
from wrappy.venue.parameters import Parameters
from wrappy.venue.queries import transaction_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.floor import Floor

_BLOCK_NOT_FOUND: Final = 21400
_INVALID_HEIGHT: Final = 21401
_TX_NOT_FOUND: Final = 21500
_EXECUTED: Final = 2


class ChainQueries:
    """Endpoints about blocks and their transactions."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def public_routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path that anybody may read."""
        v1 = "/api/v1/"
        return {
            v1 + "block": self._block,
            v1 + "blocks": self._blocks,
            v1 + "blockTxs": self._block_txs,
            v1 + "currentHeight": self._height,
            v1 + "txFromL1TxHash": self._no_transaction,
        }

    def _height(self, _: Parameters) -> Any:
        return {"code": OK, "height": self._floor.exchange.height}

    def _asked_height(self, query: Parameters, by_height: str, by_hash: str) -> int:
        by, value = query.choice("by", by_height, by_hash), query.text("value")
        if by == by_hash:
            # No block of ours is committed anywhere, so only its height names it.
            raise Refused(_BLOCK_NOT_FOUND)
        height = Parameters({"value": value}).integer("value")
        if height < 0:
            raise Refused(_INVALID_HEIGHT)
        if height > self._floor.exchange.height:
            raise Refused(_BLOCK_NOT_FOUND)
        return height

    def _transactions(self, height: int) -> list[dict[str, Any]]:
        records = self._floor.exchange.transactions.of_block(height)
        return [transaction_row(self._floor, record) for record in records]

    def _row(self, height: int) -> dict[str, Any]:
        rows = self._transactions(height)
        return {
            "commitment": "",
            "height": height,
            "state_root": "",
            "priority_operations": 0,
            "on_chain_l2_operations": 0,
            "pending_on_chain_operations_pub_data": "",
            "committed_tx_hash": "",
            "committed_at": 0,
            "verified_tx_hash": "",
            "verified_at": 0,
            "txs": rows,
            "status": _EXECUTED,
            "size": len(rows),
        }

    def _block(self, query: Parameters) -> Any:
        height = self._asked_height(query, "height", "commitment")
        return {"code": OK, "total": 1, "blocks": [self._row(height)]}

    def _blocks(self, query: Parameters) -> Any:
        # The index counts from the end that the list begins with.
        index, limit = query.integer("index", 0, low=0), query.limit()
        newest = self._floor.exchange.height
        if query.choice("sort", "asc", "desc", default="asc") == "asc":
            heights = range(index, min(index + limit, newest + 1))
        else:
            heights = range(newest - index, max(newest - index - limit, -1), -1)
        rows = [self._row(height) for height in heights]
        return {"code": OK, "total": newest + 1, "blocks": rows}

    def _block_txs(self, query: Parameters) -> Any:
        height = self._asked_height(query, "block_height", "block_commitment")
        return {"code": OK, "txs": self._transactions(height)}

    def _no_transaction(self, query: Parameters) -> Any:
        query.text("hash")
        raise Refused(_TX_NOT_FOUND)
