"""Comparing what a stream has told with what the account answers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.stream_audit import Finding, Look, StreamAudit


def look(told=0, answered=0, gone=(), unheard=()):
    def held(size):
        return {"ETH": Decimal(size)} if size else {}

    return Look(held(told), held(answered), frozenset(gone), frozenset(unheard))


SOUND = look(told=1, answered=1)


def judged(*looks):
    audit = StreamAudit()
    return [audit.judge(one)[0].value for one in looks]


def test_what_agrees_is_sound():
    assert judged(look(), SOUND, look()) == ["sound"] * 3


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (look(told=1, answered=2), "ETH: 1 told, 2 held"),
        (look(told=0, answered=-2), "ETH: 0 told, -2 held"),
        (look(gone=[7, 9]), "2 order(s) told to be live are over"),
        (look(unheard=[1, 2, 3]), "3 order(s) were never told of"),
    ],
)
def test_a_difference_counts_when_it_is_there_twice(one, words):
    audit = StreamAudit()
    assert audit.judge(one) == (Finding.DOUBTFUL, "")
    assert audit.judge(one) == (Finding.BEHIND, words)
    assert audit.judge(one) == (Finding.DOUBTFUL, ""), "what was done about it counts"


def test_a_stream_that_tells_something_new_is_alive():
    moving = [look(told=n, answered=n + 1) for n in range(5)]
    assert judged(*moving) == ["doubtful"] * 5


def test_a_position_told_of_in_between_may_be_what_it_was():
    one = look(told=1, answered=2)
    again = one._replace(moved=frozenset({"ETH"}))
    assert judged(one, again, again, one) == ["doubtful"] * 3 + ["behind"]


def test_an_account_that_moves_on_while_the_stream_stands_still_is_told():
    assert judged(look(told=1, answered=2), look(told=1, answered=3))[1] == "behind"


def test_other_orders_than_before_are_a_matter_of_moments():
    assert judged(look(gone=[1]), look(gone=[2]), look(gone=[2, 3]))[:2] == [
        "doubtful",
        "doubtful",
    ]


def test_orders_that_are_just_on_their_way_each_time_prove_nothing():
    assert (
        judged(look(unheard=[1]), look(unheard=[2]), look(unheard=[3]))
        == ["doubtful"] * 3
    )


def test_what_was_unheard_of_is_asked_about_once_more():
    audit = StreamAudit()
    assert audit.awaited == frozenset()
    audit.judge(look(unheard=[1, 2]))
    assert audit.awaited == {1, 2}


def test_after_an_outage_it_begins_anew():
    audit = StreamAudit()
    audit.judge(look(gone=[1]))
    audit.forget()
    assert audit.judge(look(gone=[1]))[0] is Finding.DOUBTFUL


def test_all_that_is_different_is_named():
    one = Look(
        {"BTC": Decimal(1)}, {"ETH": Decimal("-0.5")}, frozenset({4}), frozenset({5})
    )
    audit = StreamAudit()
    audit.judge(one)
    _, words = audit.judge(one)
    assert words == (
        "BTC: 1 told, 0 held; ETH: 0 told, -0.5 held; "
        "1 order(s) told to be live are over; 1 order(s) were never told of"
    )


@given(
    st.lists(
        st.builds(
            look,
            told=st.integers(-2, 2),
            answered=st.integers(-2, 2),
            gone=st.sets(st.integers(1, 3), max_size=2),
            unheard=st.sets(st.integers(1, 3), max_size=2),
        ),
        max_size=12,
    )
)
def test_nothing_is_concluded_from_one_look(looks):
    found = judged(*looks)
    for before, after in zip(["sound", *found], found, strict=False):
        assert after != "behind" or before == "doubtful"
    for one, finding in zip(looks, found, strict=True):
        differs = one.told != one.answered or one.gone or one.unheard
        assert (finding == "sound") is not bool(differs)
