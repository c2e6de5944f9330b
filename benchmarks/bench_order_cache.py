"""The order cache: what an order costs in memory, and an update in time.

Each order is reported four times, as the exchange prints it: in progress, open, a
part filled, filled; a hundred are live at a time. Fifteen rows, one batch, are decoded
from text, as every client gets them, and then entered while the clock runs. Memory is
what is allocated for 20,000 orders, all ended or all live, and still held when the
rows themselves are gone. The `DataStore` of `pybotters`, which merges rows by key and
knows neither states nor order of arrival, is measured beside it if it is installed.
"""

from __future__ import annotations

import gc
import importlib.util
import itertools
import time
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.measure import Row, interleaved, main, row
from wrappy._core.orders import OrderTable
from wrappy.lighter.asking.reading import report_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ORDERS, QUICK_ORDERS = 20_000, 1_000
ROUNDS, QUICK_ROUNDS = 9, 2
ROWS_A_FRAME = 15
LIVE_AT_ONCE = 100
LIVES = (
    ("in-progress", "0.0000"),
    ("open", "0.0000"),
    ("open", "0.0021"),
    ("filled", "0.0050"),
)


def text_of(number: int, stage: int) -> bytes:
    """Return one word of the exchange on one order."""
    status, filled = LIVES[stage]
    index = 281_476_929_510_110 + number
    us = 1_777_941_383_576_735 + number * 1_000 + stage
    ticks = 235_274 + number % 5_000
    return msgspec.json.encode(
        {
            "order_index": index,
            "client_order_index": number,
            "order_id": str(index),
            "client_order_id": str(number),
            "market_index": 0,
            "owner_account_index": 712_440,
            "initial_base_amount": "0.0050",
            "price": f"{ticks // 100}.{ticks % 100:02}",
            "nonce": 9_182_390_020 + number,
            "remaining_base_amount": "0.0029" if stage == 2 else "0.0050",
            "is_ask": bool(number % 2),
            "base_size": 50,
            "base_price": ticks,
            "filled_base_amount": filled,
            "filled_quote_amount": "4.940754" if stage > 1 else "0.000000",
            "side": "sell" if number % 2 else "buy",
            "type": "limit",
            "time_in_force": "good-till-time",
            "reduce_only": False,
            "trigger_price": "0.00",
            "order_expiry": 1_780_360_584_479 + number,
            "status": status,
            "trigger_status": "na",
            "trigger_time": 0,
            "parent_order_index": 0,
            "parent_order_id": "0",
            "to_trigger_order_id_0": "0",
            "to_trigger_order_id_1": "0",
            "to_cancel_order_id_0": "0",
            "integrator_fee_collector_index": "0",
            "integrator_taker_fee": "0",
            "integrator_maker_fee": "0",
            "block_height": 227_535_532 + number,
            "timestamp": us // 1_000_000,
            "created_at": us // 1_000_000,
            "updated_at": us // 1_000_000,
            "transaction_time": us,
            "order_flags": 0,
            "order_version": 0,
            "market_symbol": "ETH",
            "market_kind": "perps",
        }
    )


def words(count: int, stages: range) -> Iterator[dict[str, Any]]:
    """Tell of the orders in the order of their lives, a hundred at a time."""
    for first in range(1, count + 1, LIVE_AT_ONCE):
        for stage in stages:
            for number in range(first, min(first + LIVE_AT_ONCE, count + 1)):
                yield msgspec.json.decode(text_of(number, stage))


def our_cache(count: int) -> tuple[Any, Callable[[dict[str, Any]], Any]]:
    table = OrderTable(capacity_terminal=count)
    return table, partial(report_order, table)


def datastore(count: int) -> tuple[Any, Callable[[dict[str, Any]], Any]]:
    from pybotters.store import DataStore  # noqa: PLC0415 - it may not be installed

    class Orders(DataStore):
        _KEYS = ("client_order_index",)
        _MAXLEN = count + 1

    store = Orders()
    return store, lambda one: store._update([one])


def bytes_an_order(make: Any, count: int, stages: range) -> float:
    tracemalloc.start()
    try:
        kept, enter = make(count)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for one in words(count, stages):
            enter(one)
        del one
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        assert len(kept) == count
    finally:
        tracemalloc.stop()
    return (after - before) / count


def updates_a_second(make: Any, count: int) -> float:
    _, enter = make(count)
    told = words(count, range(len(LIVES)))
    took = 0.0
    while rows := list(itertools.islice(told, ROWS_A_FRAME)):
        began = time.perf_counter()
        for one in rows:
            enter(one)
        took += time.perf_counter() - began
    return count * len(LIVES) / took


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    count = QUICK_ORDERS if quick else ORDERS
    makers: dict[str, Any] = {"OrderTable": our_cache}
    if importlib.util.find_spec("pybotters") is not None:
        makers["pybotters DataStore"] = datastore
    memory: dict[str, Callable[[], float]] = {}
    speed: dict[str, Callable[[], float]] = {}
    for name, make in makers.items():
        memory[f"{name}, ended orders"] = lambda make=make: bytes_an_order(
            make, count, range(len(LIVES))
        )
        memory[f"{name}, live orders"] = lambda make=make: bytes_an_order(
            make, count, range(2)
        )
        speed[f"{name}, updates"] = lambda make=make: updates_a_second(make, count)
    sizes = interleaved(memory, rounds=1, warm_up=0)
    speeds = interleaved(speed, rounds=QUICK_ROUNDS if quick else ROUNDS)
    rows = [
        row(
            "order_cache",
            case,
            sizes,
            "bytes/order",
            target="below 1000" if case.startswith("OrderTable") else None,
        )
        for case in memory
    ]
    for case in speed:
        peer = "pybotters DataStore, updates"
        is_ours = case.startswith("OrderTable")
        against = peer if is_ours and peer in speed else None
        target = "400,000" if is_ours else None
        rows.append(
            row("order_cache", case, speeds, "/s", against=against, target=target)
        )
    return rows


if __name__ == "__main__":
    main(measure)
