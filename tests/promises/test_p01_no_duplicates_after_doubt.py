"""P1: whatever is lost on the way, no order is carried out twice.

A thousand seeds of twenty orders at each rate of loss: requests lost, answers lost,
both late, some doubled by the network. The venue's ledger is the judge.
"""

from __future__ import annotations

import pytest

from tests.promises.storm import BLOCK, LOSSES, ORDERS, SEEDS, blocks

EVERYTHING = (
    "drop request",
    "drop reply",
    "delay request",
    "delay reply",
    "dup request",
    "status reply",
    "truncate reply",
)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("block", blocks())
def test_no_order_is_there_twice_or_larger_than_asked(storm_of, block, loss):
    reports = storm_of(block, loss)
    assert len(reports) == min(BLOCK, SEEDS - block * BLOCK)
    assert {row["asked"] for row in reports} == {ORDERS}
    doubled = {row["seed"]: row["doubled"] for row in reports if row["doubled"]}
    assert not doubled
    # A storm in which nothing happened has shown nothing.
    for fault in EVERYTHING:
        assert sum(row["fired"].get(fault, 0) for row in reports), fault
    assert sum(row["doubts"] for row in reports) > loss * len(reports) // 10
    assert sum(row["accepted"] for row in reports) > ORDERS * len(reports) // 2
