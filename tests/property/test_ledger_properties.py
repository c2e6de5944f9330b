"""Money is conserved to the last unit, whatever is traded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.ledger import AccountLedger

trades = st.lists(
    st.tuples(
        st.permutations(range(3)),
        st.integers(0, 1),
        st.integers(1, 50),
        st.integers(0, 10_000),
        st.integers(-5, 20),
    ),
    max_size=60,
)


def signed_cost(ledger):
    return sum(
        position.entry_quote if position.size > 0 else -position.entry_quote
        for position in ledger.positions.values()
    )


@settings(max_examples=300, deadline=None)
@given(trades)
def test_collateral_fees_and_open_cost_are_conserved_over_all_accounts(script):
    ledgers = [AccountLedger(collateral=1_000_000) for _ in range(3)]
    cash = [1_000_000] * 3
    for (buyer, seller, _), market, base, quote, fee in script:
        ledgers[buyer].apply_fill(market, is_ask=False, base=base, quote=quote, fee=fee)
        ledgers[seller].apply_fill(market, is_ask=True, base=base, quote=quote)
        cash[buyer] -= quote
        cash[seller] += quote
        # Each account alone: what a cash account would hold.
        for ledger, held in zip(ledgers, cash, strict=True):
            whole = ledger.collateral + ledger.fees_paid - signed_cost(ledger)
            assert whole == held
    for market in (0, 1):
        assert sum(ledger.size(market) for ledger in ledgers) == 0
    assert sum(cash) == 3_000_000


@settings(max_examples=200, deadline=None)
@given(trades, st.integers(0, 10_000))
def test_equity_is_cash_plus_positions_at_the_mark(script, mark):
    ledger = AccountLedger(collateral=0)
    cash = 0
    for (side, *_), market, base, quote, fee in script:
        is_ask = bool(side % 2)
        ledger.apply_fill(market, is_ask=is_ask, base=base, quote=quote, fee=fee)
        cash += (quote if is_ask else -quote) - fee
    marks = {0: mark, 1: mark + 1}
    value = sum(ledger.size(market) * marks[market] for market in marks)
    assert ledger.equity(marks) == cash + value


@settings(max_examples=200, deadline=None)
@given(trades)
def test_flat_means_no_cost_and_profit_sums_to_collateral(script):
    ledger = AccountLedger(collateral=0)
    realized = fees = 0
    for (side, *_), market, base, quote, fee in script:
        realized += ledger.apply_fill(
            market, is_ask=bool(side % 2), base=base, quote=quote, fee=fee
        )
        fees += fee
        for position in ledger.positions.values():
            assert position.entry_quote >= 0
            assert position.size or position.entry_quote == 0
    assert ledger.collateral == realized - fees
    total = sum(position.realized_pnl for position in ledger.positions.values())
    assert total == realized
