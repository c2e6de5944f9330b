"""States of an account, and the figures that lead to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.risk_states import (
    NOTHING,
    EquityWatch,
    Freshness,
    StateLog,
    TradingState,
)

DAY = 86_400
USDC = 1_000_000


def watch(**limits):
    return EquityWatch(
        **{"daily_loss": None, "drawdown": None, "oldest_s": 60.0, **limits}
    )


def test_halts_outweigh_cautions_and_changes_are_kept_with_reason_and_time():
    log = StateLog()
    assert log.state is TradingState.ACTIVE
    assert not log.enter(1, [], [])
    assert log.enter(2, [], ["old"])
    assert not log.enter(3, [], ["older"])
    assert log.reason == "older"
    assert log.enter(4, ["lost", "told"], ["old"])
    assert log.reason == "lost; told"
    assert log.enter(5, [], [])
    assert [(one.at_s, one.state.value, one.reason) for one in log.transitions] == [
        (2, "reducing", "old"),
        (4, "halted", "lost; told"),
        (5, "active", ""),
    ]


def test_a_source_is_good_again_only_after_it_was_good_for_a_while():
    fresh = Freshness(1.0)
    fresh.see("book", None, 0)
    assert fresh.problem("book") is None
    fresh.see("book", "old", 1)
    fresh.see("book", None, 2)
    fresh.see("book", None, 2.9)
    assert fresh.problems() == {"book": "old"}
    fresh.see("book", "old again", 2.95)
    fresh.see("book", None, 3)
    fresh.see("book", None, 4)
    assert fresh.problem("book") is None


def test_the_day_begins_with_what_was_known_just_before_midnight():
    equity = watch(daily_loss=100 * USDC)
    assert equity.daily_pnl is None
    assert equity.drawdown is None
    equity.note(1_000 * USDC, now=0, unix_s=DAY - 10)
    equity.note(950 * USDC, now=20, unix_s=DAY + 10)
    assert equity.daily_pnl == -50 * USDC
    equity.note(900 * USDC, now=30, unix_s=DAY + 20)
    assert list(equity.losses(1)) == ["daily_loss"]
    assert "100.00" in equity.losses(1)["daily_loss"]
    assert equity.losses(2) == {}


def test_the_day_begins_with_the_first_amount_when_nothing_recent_is_known():
    equity = watch(daily_loss=100 * USDC)
    equity.note(1_000 * USDC, now=0, unix_s=0)
    equity.note(500 * USDC, now=DAY, unix_s=DAY)
    assert equity.daily_pnl == 0


def test_drawdown_is_counted_from_the_best_and_rounded_against_the_account():
    equity = watch(drawdown=100_000)
    assert equity.losses(0) == {}
    equity.note(3 * USDC, now=0, unix_s=0)
    assert equity.drawdown == 0
    equity.note(3 * USDC - 1, now=1, unix_s=1)
    assert equity.drawdown == 1
    equity.note(2_700_000, now=2, unix_s=2)
    assert equity.drawdown == 100_000
    assert "10.00 %" in equity.losses(0)["drawdown"]


@pytest.mark.parametrize(("equity_now", "drawdown"), [(0, 0), (-5, 1_000_000)])
def test_an_account_that_never_had_anything_has_lost_all_or_nothing(
    equity_now, drawdown
):
    equity = watch(drawdown=1)
    equity.note(equity_now, now=0, unix_s=0)
    assert equity.drawdown == drawdown


def test_forgiving_judges_anew_and_leaves_the_figures():
    equity = watch(daily_loss=USDC, drawdown=100_000)
    equity.forgive()
    equity.note(10 * USDC, now=0, unix_s=0)
    equity.note(5 * USDC, now=1, unix_s=1)
    assert set(equity.losses(0)) == {"daily_loss", "drawdown"}
    equity.forgive()
    assert equity.losses(0) == {}
    assert equity.daily_pnl == -5 * USDC
    assert equity.drawdown == 500_000
    equity.note(4 * USDC, now=2, unix_s=2)
    assert set(equity.losses(0)) == {"daily_loss", "drawdown"}


def test_what_an_earlier_run_knew_holds_for_the_same_day():
    for day, lost in ((0, ["daily_loss"]), (1, [])):
        equity = watch(daily_loss=USDC)
        equity.restore(
            day=0,
            day_start=10 * USDC,
            peak=20 * USDC,
            base=10 * USDC,
            crest=20 * USDC,
        )
        equity.note(5 * USDC, now=0, unix_s=day * DAY)
        assert list(equity.losses(day)) == lost
        assert equity.drawdown == 750_000


def test_an_amount_is_doubted_when_it_is_missing_or_old_and_a_limit_needs_it():
    assert watch().doubt(0) is None
    equity = watch(drawdown=1)
    assert "not known" in equity.doubt(0)
    equity.note(1, now=0, unix_s=0)
    assert equity.doubt(60) is None
    assert "older than 60 s" in equity.doubt(61)


def test_without_a_limit_no_amount_is_too_low():
    equity = watch()
    equity.note(100, 0.0, 0.0)
    assert equity.calm() == (NOTHING, 100)


@pytest.mark.parametrize("passed", [(), ("daily_loss",), ("drawdown",)])
@given(
    amounts=st.lists(st.integers(1, 10**7), min_size=1, max_size=5),
    limits=st.fixed_dictionaries(
        {},
        optional={
            "daily_loss": st.integers(1, 10**7),
            "drawdown": st.integers(1, 10**6),
        },
    ),
    forgiven=st.booleans(),
    nudge=st.integers(-2, 2),
)
def test_between_the_bounds_nothing_changes_and_below_them_a_limit_is_passed(
    passed, amounts, limits, forgiven, nudge
):
    equity = watch(**limits)
    for amount in amounts:
        equity.note(amount, 0.0, 0.0)
        if forgiven:
            equity.forgive()
    lowest, highest = equity.calm(passed)
    before = equity.peak, equity.crest, equity.base
    amount = (0 if lowest == NOTHING else lowest) + nudge
    equity.note(amount, 1.0, 1.0)
    found = set(equity.losses(0)) - set(passed)
    if amount > highest:
        assert (equity.peak, equity.crest, equity.base) != before
    else:
        assert bool(found) is (amount < lowest)
        assert (equity.peak, equity.crest, equity.base) == before
