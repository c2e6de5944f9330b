"""Whatever order the news arrive in, and however often, the end is the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.orders import OrderEvent, OrderTable
from wrappy.model import OrderStatus

COI = 42
SIZE = 100

# Our own side of an order that the exchange certainly has.
OWN = (
    (OrderEvent.SENT,),
    (OrderEvent.LOST,),
    (OrderEvent.LOST, OrderEvent.SENT),
    (OrderEvent.SENT, OrderEvent.CANCEL_SENT),
    (OrderEvent.SENT, OrderEvent.CANCEL_SENT, OrderEvent.CANCEL_REFUSED),
    (OrderEvent.LOST, OrderEvent.CANCEL_SENT),
)
ENDS = ("filled", "canceled", "canceled-expired", "canceled-margin-not-allowed")


@st.composite
def stories(draw):
    """The frames of one order in their true order; the last may end it."""
    fills = sorted(draw(st.lists(st.sampled_from([0, 1, SIZE - 1]), max_size=4)))
    frames = [("open", filled) for filled in fills]
    end = draw(st.sampled_from((None, *ENDS)))
    if end is not None:
        frames.append((end, SIZE if end == "filled" else max(fills, default=0)))
    return frames


def tell(table, event, frames):
    """Feed one piece of news: an event of ours, or the number of a frame."""
    if isinstance(event, OrderEvent):
        return table.apply(COI, event, tx_hash="ab")
    status, filled = frames[event]
    return table.report(
        COI,
        status,
        market_index=0,
        is_ask=False,
        order_index=2**48,
        filled_base=filled,
        price_ticks=10 + event,
        base_amount=SIZE,
        version=event,
        report={"frame": event},
    )


def new_table():
    table = OrderTable()
    table.queue(COI, market_index=0, is_ask=False, price_ticks=10, base_amount=SIZE)
    return table


@settings(max_examples=500)
@given(st.data(), stories(), st.sampled_from(OWN))
def test_any_permutation_with_duplicates_ends_alike(data, frames, own):
    """Our own events keep their order, as they come from one task."""
    ours = list(own)
    news = list(range(len(frames)))
    doubled = data.draw(st.lists(st.sampled_from(news), max_size=4)) if news else []
    shuffled = data.draw(st.permutations(news + doubled))
    merged: list[object] = list(shuffled)
    places = sorted(data.draw(st.integers(0, len(merged))) for _ in ours)
    for offset, (place, event) in enumerate(zip(places, ours, strict=True)):
        merged.insert(place + offset, event)

    expected_table, table = new_table(), new_table()
    for event in [*ours, *news]:
        expected = tell(expected_table, event, frames)
    filled = 0
    ended = None
    for event in merged:
        record = tell(table, event, frames)
        assert record.filled_base >= filled
        filled = record.filled_base
        if ended is not None:
            assert record.status is ended
        ended = record.status if record.status.is_terminal else None
    # A cancel that was sent before or after the order was reported may still be
    # pending or not: that part is about our own clock, not about the frames.
    pending = {record.status, expected.status}
    if OrderStatus.PENDING_CANCEL in pending or OrderEvent.CANCEL_SENT in own:
        assert record.status.is_terminal is expected.status.is_terminal
        if record.status.is_terminal:
            assert record.status is expected.status
    else:
        assert record.status is expected.status
    assert record.filled_base == expected.filled_base
    assert record.reason == expected.reason
    if frames:
        assert record.report == expected.report
        assert record.price_ticks == expected.price_ticks
    assert not record.contradicted


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=120),
)
def test_memory_is_bounded_and_no_live_order_is_forgotten(capacity, news):
    table = OrderTable(capacity_terminal=capacity)
    alive = set()
    seen = set()
    for coi, ends in news:
        if coi not in seen:
            table.queue(coi, market_index=0, is_ask=False, price_ticks=1, base_amount=1)
            seen.add(coi)
            alive.add(coi)
        elif ends and coi in alive:
            table.apply(coi, OrderEvent.REFUSED)
            alive.discard(coi)
        assert {order.client_order_index for order in table.live()} == alive
        assert len(table) <= len(alive) + capacity
