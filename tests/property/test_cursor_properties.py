"""Pages of a list fit together however much is added while somebody reads on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.venue.exchange import Refused
from wrappy.venue.parameters import Parameters, page


def place(row):
    return (row,)


@given(
    first=st.integers(0, 60),
    limit=st.integers(1, 9),
    arrivals=st.lists(st.integers(0, 5), max_size=60),
    keyed=st.booleans(),
)
def test_a_reader_sees_every_row_once(first, limit, arrivals, keyed):
    rows, seen, cursor = list(range(first)), [], ""
    arrivals = iter(arrivals)
    while True:
        key = place if keyed else None
        query = Parameters({"cursor": cursor} if cursor else {})
        wanted, cursor = page(rows[::-1], query, limit, key=key)
        seen += wanted
        if not cursor:
            break
        rows += range(len(rows), len(rows) + next(arrivals, 0))
    assert seen == list(range(first))[::-1]


@given(
    count=st.integers(2, 60), limit=st.integers(1, 9), forgotten=st.sets(st.integers())
)
def test_rows_that_go_meanwhile_leave_the_others_in_place(count, limit, forgotten):
    rows = list(range(count))
    wanted, cursor = page(rows[::-1], Parameters({}), limit, key=place)
    left = [row for row in rows if row not in {number % count for number in forgotten}]
    rest = []
    while cursor:
        query = Parameters({"cursor": cursor})
        more, cursor = page(left[::-1], query, limit, key=place)
        rest += more
    assert rest == ([row for row in left if row < wanted[-1]][::-1])


@pytest.mark.parametrize("key", [None, place])
@pytest.mark.parametrize("cursor", ["x", "-1", "1-", "1.5"])
def test_a_cursor_of_somebody_elses_is_refused(key, cursor):
    with pytest.raises(Refused) as refusal:
        page([1, 2], Parameters({"cursor": cursor}), 1, key=key)
    assert refusal.value.code == 20001
