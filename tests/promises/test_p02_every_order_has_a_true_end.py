"""P2: every order gets a final answer, and the venue's ledger says the same.

The storms are those of P1.
"""

from __future__ import annotations

import pytest

from tests.promises.storm import LOSSES, blocks


# From the other end than P1, so that two workers share the storms.
@pytest.mark.parametrize("loss", LOSSES[::-1])
@pytest.mark.parametrize("block", blocks()[::-1])
def test_no_order_is_lost_misreported_or_left_in_doubt(storm_of, block, loss):
    for row in storm_of(block, loss):
        seed = row["seed"]
        assert not row["lost"], f"seed {seed}: called accepted, and is not there"
        assert not row["untrue"], f"seed {seed}: told a hash that nobody accepted"
        assert not row["falsely_dead"], f"seed {seed}: called dead, and is there"
        assert not row["unsettled"], f"seed {seed}: without a final answer"
        assert not row["misjudged"], f"seed {seed}: another end than the ledger's"
