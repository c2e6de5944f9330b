"""Rules fire when they match, as often as they say, and the same way every time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ConfigError
from wrappy.venue.fault_rules import FaultRule, read_storm, rule_from
from wrappy.venue.faults import Faults, Occasion, Subject, garbled, noise

SEND = "/api/v1/sendTx"
REQUEST = Occasion("rest", "request", SEND)
REPLY = Occasion("rest", "reply", SEND)
STREAM = Occasion("stream", "request", "jsonapi/sendtx")


def push(channel, account=None):
    return Occasion("stream", "push", channel=channel, look=lambda: Subject(account))


def acts(faults, occasion):
    return [firing.act for firing in faults.decide(occasion)]


def test_without_rules_nothing_goes_wrong():
    faults = Faults()
    assert not faults.watches("request")
    assert faults.decide(REQUEST) == []


def test_a_firing_is_recorded_with_where_and_whom():
    events = []
    faults = Faults(record=events.append, now_us=lambda: 17)
    handle = faults.add(FaultRule(act="drop"))
    look = lambda: Subject(3, 4, (14,))  # noqa: E731 - a whole function for one value
    faults.decide(Occasion("rest", "request", SEND, look=look))
    (event,) = events
    assert (event.at_us, event.rule, event.act) == (17, handle, "drop")
    assert (event.phase, event.where) == ("request", SEND)
    assert (event.account, event.api_key_index) == (3, 4)
    assert faults.fired(handle) == 1


@pytest.mark.parametrize(
    ("path", "asked", "matches"),
    [
        (None, SEND, True),
        (SEND, SEND, True),
        (SEND, SEND + "Batch", False),
        (SEND + "*", SEND + "Batch", True),
        ("/api/v1/tx", SEND, False),
    ],
)
def test_a_path_matches_whole_or_up_to_its_star(path, asked, matches):
    faults = Faults()
    faults.add(FaultRule(act="drop", path=path))
    assert bool(faults.decide(Occasion("rest", "request", asked))) is matches


@pytest.mark.parametrize(
    ("channel", "matches"),
    [
        (None, True),
        ("account_orders", True),
        ("account_orders/0", True),
        ("account_orders/0/7", True),
        ("account_orders/1", False),
        ("account", False),
        ("trade", False),
    ],
)
def test_a_channel_matches_by_its_first_parts(channel, matches):
    faults = Faults()
    faults.add(FaultRule(act="drop", phase="push", channel=channel))
    assert bool(faults.decide(push("account_orders/0/7"))) is matches


def test_account_and_type_are_looked_up_and_must_both_match():
    faults = Faults()
    faults.add(FaultRule(act="drop", account=3, tx_type=15))

    def tried(account, *types):
        look = lambda: Subject(account, 4, types)  # noqa: E731
        return bool(faults.decide(Occasion("rest", "request", SEND, look=look)))

    assert not tried(2, 15)
    assert not tried(3, 14)
    assert tried(3, 14, 15)


def test_nth_fires_once_every_fires_again_and_times_is_a_bound():
    faults = Faults()
    faults.add(FaultRule(act="delay", delay_ms=1, nth=3))
    faults.add(FaultRule(act="dup", every=2))
    faults.add(FaultRule(act="skew", skew_ms=5, times=1))
    seen = [acts(faults, REQUEST) for _ in range(4)]
    assert seen == [["skew"], ["dup"], ["delay"], ["dup"]]
    assert [(count.matches, count.firings) for count in faults.counts()] == [
        (4, 1),
        (4, 2),
        (1, 1),
    ]


def test_after_an_end_no_other_rule_is_asked():
    faults = Faults()
    faults.add(FaultRule(act="drop", times=1))
    later = faults.add(FaultRule(act="stall"))
    assert acts(faults, REQUEST) == ["drop"]
    assert faults.fired(later) == 0
    assert acts(faults, REQUEST) == ["stall"]


def test_a_rule_fires_only_where_its_act_can_be_done():
    faults = Faults()
    faults.add(FaultRule(act="close", code=1011))
    faults.add(FaultRule(act="dup", phase="reply"))
    faults.add(FaultRule(act="status", code=21104))
    assert faults.decide(REQUEST) == []
    assert faults.decide(REPLY) == []
    assert acts(faults, STREAM) == ["close"]


def test_delays_are_drawn_within_their_bounds():
    faults = Faults()
    faults.add(FaultRule(act="delay", delay_ms=10, spread_ms=5))
    delays = {faults.decide(REQUEST)[0].delay_s for _ in range(200)}
    assert delays == {0.010, 0.011, 0.012, 0.013, 0.014, 0.015}


def test_a_rule_of_an_age_waits_for_it():
    faults = Faults()
    faults.add(FaultRule(act="close", code=1001, phase="tick", after_ms=5_000))
    young, old = (Occasion("stream", "tick", age_ms=age) for age in (4_999, 5_000))
    assert (acts(faults, young), acts(faults, old)) == ([], ["close"])


@pytest.mark.parametrize(
    ("act", "hit", "missed"),
    [
        ("nonce_gap", "update/order_book", "subscribed/order_book"),
        ("offset_jump", "subscribed/order_book", "update/trade"),
    ],
)
def test_what_is_wrong_with_a_book_happens_to_books_only(act, hit, missed):
    faults = Faults()
    handle = faults.add(FaultRule(act=act, phase="push"))
    for kind in (missed, hit):
        faults.decide(Occasion("stream", "push", kind, channel="order_book/0"))
    assert faults.fired(handle) == 1


def test_a_push_is_matched_by_the_type_of_its_frame_and_recorded_by_its_channel():
    events = []
    faults = Faults(record=events.append)
    faults.add(FaultRule(act="drop", phase="push", path="subscribed/*"))
    for kind in ("subscribed/ticker", "update/ticker"):
        faults.decide(Occasion("stream", "push", kind, channel="ticker/0"))
    assert [event.where for event in events] == ["ticker/0"]


def test_noise_is_no_text_and_the_same_for_the_same_seed():
    assert noise(50, 7) == noise(50, 7) != noise(50, 8)
    assert len(noise(50, 7)) == 50
    with pytest.raises(UnicodeDecodeError):
        noise(50, 7).decode()


def test_what_is_held_back_is_let_go_in_the_end():
    faults = Faults()
    faults.add(FaultRule(act="reorder"))
    assert faults.decide(REQUEST)[0].delay_s == 1.0


def test_rules_are_taken_out_of_force():
    faults = Faults()
    first = faults.add(FaultRule(act="drop"))
    faults.remove(first)
    assert faults.decide(REQUEST) == []
    for call in (faults.remove, faults.fired):
        with pytest.raises(ConfigError, match="handle: 1"):
            call(first)
    faults.add(FaultRule(act="drop"))
    faults.clear()
    assert faults.counts() == []
    assert not faults.watches("request")


@given(seed=st.integers(), probability=st.integers(0, 1_000_000))
def test_the_same_seed_gives_the_same_faults(seed, probability):
    def course():
        faults = Faults(seed)
        faults.add(FaultRule(act="drop", probability=probability))
        return [bool(faults.decide(REQUEST)) for _ in range(50)]

    assert course() == course()
    if probability in (0, 1_000_000):
        assert set(course()) == {probability > 0}


def test_chances_come_out_as_asked_for():
    faults = Faults(5)
    handle = faults.add(FaultRule(act="drop", probability=200_000))
    for _ in range(10_000):
        faults.decide(REQUEST)
    assert 1_850 <= faults.fired(handle) <= 2_150


@given(text=st.binary(max_size=200), seed=st.integers(0, 2**32))
def test_garbage_is_as_long_as_the_truth_and_no_json(text, seed):
    found = garbled(text, seed)
    assert len(found) == max(1, len(text))
    assert found == garbled(text, seed)
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever is first wrong
        json.loads(found)


BAD_RULES = [
    ({}, "act: is required"),
    ({"act": "explode"}, "act: 'explode'"),
    ({"act": "drop", "phase": "later"}, "phase: 'later'"),
    ({"act": "drop", "phase": "after_accept"}, "phase: 'drop' cannot"),
    ({"act": "silent_drop"}, "give 'after_accept'"),
    ({"act": "drop", "pth": "/x"}, "pth: no field"),
    ({"act": "drop", "path": ""}, "path: ''"),
    ({"act": "drop", "path": 5}, "path: 5"),
    ({"act": "drop", "phase": "push", "path": "/x"}, "give channel"),
    ({"act": "drop", "phase": "reply", "channel": "trade/0"}, "give path"),
    ({"act": "close", "code": 1000, "phase": "tick", "path": "x"}, "path: a tick"),
    ({"act": "freeze", "phase": "tick", "channel": "trade"}, "channel: a tick"),
    ({"act": "drop", "phase": "tick"}, "phase: 'drop' cannot"),
    ({"act": "drop", "path": "/x", "after_ms": 5}, "after_ms: only"),
    ({"act": "drop", "after_ms": -5}, "after_ms: -5"),
    ({"act": "huge", "phase": "push", "size_bytes": 0}, "size_bytes: 0"),
    ({"act": "garbage", "phase": "push", "binary": 1}, "binary: 1"),
    ({"act": "drop", "account": -1}, "account: -1"),
    ({"act": "drop", "tx_type": True}, "tx_type: True"),
    ({"act": "drop", "nth": 0}, "nth: 0"),
    ({"act": "drop", "nth": 1, "every": 2}, "every: cannot"),
    ({"act": "drop", "probability": 0.05}, "probability: 0.05"),
    ({"act": "drop", "probability": 1_000_001}, "probability: 1000001"),
    ({"act": "drop", "times": 0}, "times: 0"),
    ({"act": "delay"}, "delay_ms: is required"),
    ({"act": "delay", "delay_ms": -1}, "delay_ms: -1"),
    ({"act": "delay", "delay_ms": None}, "delay_ms: None"),
    ({"act": "status"}, "code: is required"),
    ({"act": "status", "code": 200, "path": "/x"}, "code: 200 is no HTTP"),
    ({"act": "close", "code": 99}, "code: 99 is no close code"),
    ({"act": "skew"}, "skew_ms: is required"),
    ({"act": "status", "code": 503, "html": 1}, "html: 1"),
    ({"act": "bump_nonce", "count": 0}, "count: 0"),
]


@pytest.mark.parametrize(("values", "words"), BAD_RULES, ids=str)
def test_a_rule_that_cannot_work_is_refused_with_the_field(values, words):
    with pytest.raises(ConfigError) as caught:
        rule_from(values)
    assert words in str(caught.value)


def test_a_storm_is_read_from_json(tmp_path):
    file = tmp_path / "storm.json"
    file.write_text('[{"act": "drop", "path": "/api/v1/sendTx*", "times": 2}]')
    assert read_storm(file) == (FaultRule(act="drop", path=SEND + "*", times=2),)


def test_a_storm_is_read_from_toml(tmp_path):
    file = tmp_path / "storm.toml"
    file.write_text('[[fault]]\nact = "status"\ncode = 503\nhtml = true\n')
    assert read_storm(file) == (FaultRule(act="status", code=503, html=True),)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.json", "{}", "a list of faults"),
        ("a.json", "[5]", "fault 1 is no table"),
        ("a.json", '[{"act": "drop"}, {"act": "x"}]', "fault 2: act: 'x'"),
        ("a.toml", "=", "TOML"),
        ("a.toml", "seed = 1", "[[fault]]"),
        ("missing.json", None, "cannot be read"),
    ],
)
def test_a_storm_that_cannot_be_read_says_what_is_wrong(tmp_path, name, text, words):
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_storm(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
