"""Whatever a file holds: what comes out is in order, whole, and told of."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ConfigError
from wrappy.model import Candle
from wrappy.runner.history import CandleFile, CandleSequence, FlatCandle, HistoryError
from wrappy.runner.history.cells import BadCellError, read_number, time_reader

STEP = 60_000
START = 1_700_000_040_000


def outcome(read, *arguments):
    """Return what a reader returns, and what it refuses with."""
    try:
        return read(*arguments), None
    except (HistoryError, BadCellError) as error:
        return None, error


def candle(number, price=1):
    return Candle(
        START + number * STEP,
        *(Decimal(price),) * 4,
        base_volume=Decimal(1),
        quote_volume=Decimal(1),
        last_trade_id=0,
        closed=True,
    )


@given(st.lists(st.integers(0, 5), max_size=60), st.sampled_from(["report", "flat"]))
def test_what_comes_out_and_the_gaps_are_all_there_was(steps, on_gap):
    sequence = CandleSequence(source="x", symbol="ETH", resolution="1m", on_gap=on_gap)
    found, number = [], 0
    numbers = []
    for line, step in enumerate(steps, 1):
        number += step
        numbers.append(number)
        found += sequence.feed(candle(number), line)
    found += sequence.end(keep_last=True)
    series = sequence.series()
    real = [one for one in found if not isinstance(one, FlatCandle)]
    assert real == [candle(one) for one in sorted(set(numbers))]
    starts = [one.start_ms for one in found]
    assert starts == sorted(set(starts))
    assert series.count == len(found)
    assert series.duplicates == len(numbers) - len(set(numbers))
    span = numbers[-1] - numbers[0] + 1 if numbers else 0
    assert series.missing == span - len(set(numbers))
    assert series.filled == len(found) - len(real)
    if on_gap == "flat":
        assert len(found) == span


@given(st.binary(max_size=400))
def test_no_content_ends_in_anything_but_candles_or_a_clear_refusal(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        for head in (b"", b"timestamp,open,high,low,close\n"):
            path.write_bytes(head + content)
            found, error = outcome(lambda: list(CandleFile(path, resolution="1m")))
            if error is None:
                assert all(isinstance(one, Candle) for one in found)
            else:
                assert str(path) in str(error)
                assert error.fix


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**12)
)
def test_a_number_comes_back_digit_by_digit(number):
    text = str(number)
    found, error = outcome(read_number, text)
    assert str(found) == text if error is None else "E" in text or len(text) > 40


@given(st.text(max_size=30))
def test_no_text_breaks_the_readers(text):
    for read in (read_number, lambda cell: time_reader(cell, None).read(cell)):
        found, error = outcome(read, text)
        assert error.fix if found is None else error is None


@given(st.integers(10**12, 41 * 10**11 - 1))
def test_a_time_means_the_same_in_every_unit(at_ms):
    for unit, text in (
        ("s", f"{Decimal(at_ms).scaleb(-3)}"),
        ("ms", f"{at_ms}"),
        ("us", f"{at_ms * 1_000}"),
        ("ns", f"{at_ms * 1_000_000}"),
    ):
        assert time_reader(text, None).read(text) == at_ms
        assert time_reader(text, unit).read(text) == at_ms


def test_an_unknown_way_to_treat_gaps_is_refused():
    with pytest.raises(ConfigError, match="on_gap: 'skip'"):
        CandleSequence(source="x", symbol="", resolution="1m", on_gap="skip")
