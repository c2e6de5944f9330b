"""Rows come back as they were, whatever they hold."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.packed_rows import RowPacker, unpacked

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from("abcdef"), JSON), max_size=8)


@given(ROWS)
def test_a_row_comes_back_as_it_was(rows):
    packer = RowPacker()
    packed = [packer.pack(row) for row in rows]
    for row, (names, values) in zip(rows, packed, strict=True):
        assert unpacked(names, values) == row
        assert list(unpacked(names, values)) == list(row)


def test_rows_of_one_kind_share_their_names():
    packer = RowPacker()
    first, _ = packer.pack({"a": 1, "b": 2})
    other, _ = packer.pack({"b": 1})
    again, _ = packer.pack({"a": 3, "b": 4})
    assert again is first
    assert other == ("b",)


def test_many_kinds_of_rows_are_all_right_and_not_all_remembered():
    packer = RowPacker()
    for number in range(1000):
        row = {f"field {number}": number}
        names, values = packer.pack(row)
        assert unpacked(names, values) == row


def test_what_is_not_plain_json_is_not_packed():
    packer = RowPacker()
    assert packer.pack({"a": 2**64}) is None
    assert packer.pack({"a": object()}) is None
    assert packer.pack({"a": "\ud800"}) is None


def test_a_number_type_of_ours_comes_back_as_the_exchange_writes_it():
    names, values = RowPacker().pack({"a": Decimal("1.50")})
    assert unpacked(names, values) == {"a": "1.50"}
