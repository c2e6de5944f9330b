"""The stream session: what is asked, what is believed, when a connection is dead."""

from __future__ import annotations

import itertools

import pytest

from wrappy._core.stream import (
    ALREADY_SUBSCRIBED,
    CROWDED,
    NOT_SUBSCRIBED,
    UNAUTHORIZED,
    EventKind,
    StreamSession,
    StreamState,
)


@pytest.fixture
def session():
    """Return a session with a fresh connection at time 0."""
    made = StreamSession()
    made.connected(now=0.0)
    return made


def subscribe(name, **extra):
    return {"type": "subscribe", "channel": name, **extra}


def unsubscribe(name):
    return {"type": "unsubscribe", "channel": name}


def acknowledge(session, reply_name, now=0.0):
    kind = reply_name.partition(":")[0]
    message = {"type": f"subscribed/{kind}", "channel": reply_name}
    return [event.kind for event in session.receive(message, now=now)]


def unsubscribed(session, reply_name, now=0.0):
    message = {"type": "unsubscribed", "channel": reply_name}
    assert session.receive(message, now=now) == []


def refuse(session, code, words, now=0.0):
    return session.receive({"error": {"code": code, "message": words}}, now=now)


def live(session, name, *, private=False):
    session.want(name, private=private)
    session.outbox(now=0.0)
    acknowledge(session, name.replace("/", ":"))
    return session


def test_everything_wanted_is_asked_for_once(session):
    session.want("order_book/0")
    session.want("trade/0")
    session.want("order_book:0")
    assert session.outbox(now=0.0) == [subscribe("order_book/0"), subscribe("trade/0")]
    assert session.outbox(now=1.0) == []


def test_it_is_ready_when_the_last_channel_is_live(session):
    assert session.state is StreamState.SUBSCRIBING
    session.want("order_book/0")
    session.want("trade/0")
    session.outbox(now=0.0)
    assert acknowledge(session, "trade:0") == [EventKind.SNAPSHOT]
    assert acknowledge(session, "order_book:0") == [EventKind.SNAPSHOT, EventKind.READY]
    assert session.state is StreamState.READY
    assert acknowledge(session, "trade:0") == [EventKind.SNAPSHOT]
    session.closed()
    assert session.state is StreamState.CLOSED


def test_an_update_counts_only_after_its_snapshot(session):
    session.want("trade/0")
    session.outbox(now=0.0)
    update = {"type": "update/trade", "channel": "trade:0", "trades": []}
    assert session.receive(update, now=0.0) == []
    acknowledge(session, "trade:0")
    (event,) = session.receive(update, now=0.0)
    assert (event.kind, event.channel) == (EventKind.UPDATE, "trade/0")
    slashes = {"type": "update/trade", "channel": "trade/0"}
    assert session.receive(slashes, now=0.0)[0].channel == "trade/0"


def test_frames_of_channels_nobody_wants_are_no_news(session):
    live(session, "order_book/10")
    assert acknowledge(session, "trade:0") == []
    for stranger in ("order_book:1", "order_book:100", "order"):
        frame = {"type": "update/order_book", "channel": stranger}
        assert session.receive(frame, now=0.0) == []
    strange = {"type": "news", "channel": "order_book:10"}
    assert session.receive(strange, now=0.0) == []
    unsubscribed(session, "trade:7")


def test_an_answer_without_the_index_is_understood_when_only_one_fits(session):
    session.want("account_all_orders/7")
    session.outbox(now=0.0)
    assert EventKind.SNAPSHOT in acknowledge(session, "account_all_orders")
    live(session, "trade/0")
    live(session, "trade/1")
    frame = {"type": "update/trade", "channel": "trade"}
    assert session.receive(frame, now=0.0) == []


def test_subscribes_in_flight_are_bounded():
    session = StreamSession(in_flight_limit=2)
    session.connected(now=0.0)
    for market in range(3):
        session.want(f"trade/{market}")
    assert session.outbox(now=0.0) == [subscribe("trade/0"), subscribe("trade/1")]
    assert session.outbox(now=0.0) == []
    acknowledge(session, "trade:0")
    assert session.outbox(now=0.0) == [subscribe("trade/2")]


def test_unsubscribes_in_flight_are_bounded_as_well():
    session = StreamSession(in_flight_limit=2)
    session.connected(now=0.0)
    for market in range(3):
        live(session, f"trade/{market}")
    for market in range(3):
        session.resubscribe(f"trade/{market}")
    gone = [frame["channel"] for frame in session.outbox(now=1.0)]
    assert gone == ["trade/0", "trade/1"]
    session.receive({"type": "unsubscribed", "channel": "trade:0"}, now=1.0)
    session.receive({"type": "unsubscribed", "channel": "trade:1"}, now=1.0)
    assert [frame["type"] for frame in session.outbox(now=1.0)] == [
        "unsubscribe",
        "subscribe",
    ]


def test_a_private_channel_waits_for_a_token(session):
    session.want("trade/0")
    assert not session.token_due(now=0.0)
    session.want("account_tx/7", private=True)
    assert session.token_due(now=0.0)
    assert session.outbox(now=0.0) == [subscribe("trade/0")]
    session.offer_token("first", look_at=2700.0)
    assert not session.token_due(now=2699.0)
    assert session.token_due(now=2700.0)
    assert session.outbox(now=0.0) == [subscribe("account_tx/7", auth="first")]


def test_a_new_token_renews_live_private_channels(session):
    live(session, "trade/0")
    session.offer_token("first", look_at=2700.0)
    live(session, "account_tx/7", private=True)
    session.offer_token("second", look_at=6300.0)
    assert session.outbox(now=0.0) == [unsubscribe("account_tx/7")]
    assert session.outbox(now=0.0) == []
    assert acknowledge(session, "account_tx:7") == []
    unsubscribed(session, "account_tx:7")
    assert session.outbox(now=0.0) == [subscribe("account_tx/7", auth="second")]


def test_the_same_token_again_renews_nothing(session):
    session.offer_token("first", look_at=100.0)
    live(session, "account_tx/7", private=True)
    assert session.token_due(now=200.0)
    session.offer_token("first", look_at=4100.0)
    assert not session.token_due(now=200.0)
    assert session.outbox(now=0.0) == []


def test_a_channel_asked_with_the_old_token_is_renewed_when_it_answers(session):
    session.offer_token("first", look_at=2700.0)
    session.want("account_tx/7", private=True)
    session.outbox(now=0.0)
    session.offer_token("second", look_at=6300.0)
    assert session.outbox(now=0.0) == []
    assert EventKind.SNAPSHOT in acknowledge(session, "account_tx:7")
    assert session.outbox(now=0.0) == [unsubscribe("account_tx/7")]


def test_a_refusal_of_the_old_token_is_no_refusal_of_the_new_one(session):
    session.offer_token("first", look_at=2700.0)
    session.want("account_tx/7", private=True)
    session.outbox(now=0.0)
    session.offer_token("second", look_at=6300.0)
    (event,) = refuse(session, 20013, "expired auth token : account_tx:7")
    assert (event.kind, event.code) == (EventKind.REFUSED, 20013)
    assert session.outbox(now=0.0) == [subscribe("account_tx/7", auth="second")]


def test_a_token_offered_while_closed_waits_for_the_connection(session):
    session.offer_token("first", look_at=2700.0)
    live(session, "account_tx/7", private=True)
    session.closed()
    session.offer_token("second", look_at=6300.0)
    session.connected(now=1.0)
    assert session.outbox(now=1.0) == [subscribe("account_tx/7", auth="second")]
    session.drop_token()
    assert session.token_due(now=1.0)


def test_a_refused_channel_is_asked_again_on_a_new_connection(session):
    live(session, "trade/1")
    session.want("trade/0")
    session.outbox(now=0.0)
    (event,) = refuse(session, 30005, "Invalid Channel")
    assert (event.kind, event.channel, event.code) == (
        EventKind.REFUSED,
        "trade/0",
        30005,
    )
    assert session.outbox(now=0.0) == []
    session.connected(now=1.0)
    assert subscribe("trade/0") in session.outbox(now=1.0)


def test_a_refused_channel_is_asked_again_after_a_pause(session):
    live(session, "trade/1")
    session.want("trade/0")
    assert session.outbox(now=0.0) == [subscribe("trade/0")]
    now, pauses = 0.0, []
    for _ in range(8):
        refuse(session, 29500, "internal server error : trade:0", now=now)
        pauses.append(session.deadline(now=now) - now)
        if pauses[-1] > 20.0:
            break
        assert session.outbox(now=now + 0.9 * pauses[-1]) == []
        now += pauses[-1]
        assert session.outbox(now=now) == [subscribe("trade/0")]
    assert pauses[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    acknowledge(session, "trade:0")


def test_however_often_a_channel_is_refused_it_is_asked_again_within_a_minute():
    session = StreamSession(ping_interval_s=1e6, idle_limit_s=1e6)
    session.want("trade/0")
    session.connected(now=0.0)
    now = 0.0
    for _ in range(12):
        assert session.outbox(now=now) == [subscribe("trade/0")]
        refuse(session, 29500, "internal server error : trade:0", now=now)
        now = session.deadline(now=now)
    assert now < 12 * 60.0
    assert session.outbox(now=now + 60.0) == [subscribe("trade/0")]


def test_a_refused_private_channel_is_asked_again_with_a_new_token(session):
    session.want("account_tx/7", private=True)
    session.offer_token("first", look_at=2700.0)
    session.outbox(now=0.0)
    refuse(session, 20013, "invalid auth")
    assert session.outbox(now=0.0) == []
    session.offer_token("second", look_at=6300.0)
    assert session.outbox(now=0.0) == [subscribe("account_tx/7", auth="second")]


def test_a_refusal_that_fits_no_channel_is_told_without_one(session):
    session.want("trade/0")
    session.outbox(now=0.0)
    (event,) = refuse(session, 30005, "Invalid Channel : trade:9")
    assert (event.kind, event.channel) == (EventKind.REFUSED, None)
    assert EventKind.SNAPSHOT in acknowledge(session, "trade:0")
    (event,) = refuse(session, 23001, "Too Many Subscriptions")
    assert event.channel is None
    (event,) = refuse(session, 30005, "Invalid Channel : trade:0")
    assert event.channel == "trade/0"
    update = {"type": "update/trade", "channel": "trade:0"}
    assert session.receive(update, now=0.0)


def test_words_behind_a_colon_that_name_no_channel_fall_to_the_only_one(session):
    session.want("height")
    session.outbox(now=0.0)
    assert refuse(session, 1, "Invalid Param : some words")[0].channel == "height"
    session.connected(now=0.0)
    session.outbox(now=0.0)
    assert refuse(session, 1, "Invalid Channel : ")[0].channel == "height"
    session.connected(now=0.0)
    session.outbox(now=0.0)
    assert refuse(session, 1, None)[0].channel == "height"


def test_an_already_subscribed_channel_is_left_and_asked_again(session):
    session.want("trade/0")
    session.outbox(now=0.0)
    assert refuse(session, ALREADY_SUBSCRIBED, "Already Subscribed to : trade:0") == []
    assert session.outbox(now=0.0) == [unsubscribe("trade/0")]
    assert refuse(session, ALREADY_SUBSCRIBED, "Already Subscribed to : trade:0") == []
    assert session.outbox(now=0.0) == []
    assert refuse(session, NOT_SUBSCRIBED, "Not Subscribed to : trade:0") == []
    assert session.outbox(now=0.0) == [subscribe("trade/0")]
    (event,) = refuse(session, ALREADY_SUBSCRIBED, "Already Subscribed to : trade:5")
    assert event.kind is EventKind.REFUSED


def test_not_subscribed_without_a_name_means_the_one_that_is_leaving(session):
    live(session, "trade/0")
    assert refuse(session, NOT_SUBSCRIBED, "Not Subscribed") == []
    assert refuse(session, NOT_SUBSCRIBED, "Not Subscribed to : trade:0") == []
    session.resubscribe("trade/0")
    assert session.outbox(now=0.0) == [unsubscribe("trade/0")]
    refuse(session, NOT_SUBSCRIBED, "Not Subscribed")
    assert session.outbox(now=0.0) == [subscribe("trade/0")]


def test_a_resubscribe_of_what_is_not_live_says_nothing(session):
    session.want("trade/0")
    session.resubscribe("trade/0")
    assert session.outbox(now=0.0) == [subscribe("trade/0")]


def test_a_live_channel_that_the_exchange_drops_is_asked_for_again(session):
    live(session, "trade/0")
    message = {"type": "unsubscribed", "channel": "trade:0"}
    (event,) = session.receive(message, now=0.0)
    assert (event.kind, event.channel) == (EventKind.ENDED, "trade/0")
    unsubscribed(session, "trade:0")
    assert not session.is_live("trade/0")
    assert session.outbox(now=0.0) == [subscribe("trade/0")]


def test_what_is_never_sound_is_asked_for_at_a_bounded_pace(session):
    live(session, "order_book/0")
    now, asked = 0.0, []
    while now < 120.0:
        session.resubscribe("order_book/0")
        for frame in session.outbox(now=now):
            if frame["type"] == "unsubscribe":
                unsubscribed(session, "order_book:0", now)
            elif frame["type"] == "subscribe":
                asked.append(now)
                acknowledge(session, "order_book:0", now)
        # Whoever has something to say looks again at once.
        waits = not session.stirred and asked[-1:] != [now]
        now = session.deadline(now=now) if waits else now + 0.001
    assert len([at for at in asked if at < 60.0]) <= 50
    assert max(after - before for before, after in itertools.pairwise(asked)) <= 5.1


def test_what_was_sound_for_a_while_is_asked_for_at_once_again(session):
    live(session, "order_book/0")

    def pause_s(now):
        session.receive({"type": "pong"}, now=now)
        session.resubscribe("order_book/0")
        assert session.outbox(now=now) == [unsubscribe("order_book/0")]
        unsubscribed(session, "order_book:0", now)
        asked_at = now
        while not session.outbox(now=asked_at):
            asked_at = session.deadline(now=asked_at)
        acknowledge(session, "order_book:0", asked_at)
        return asked_at - now

    pauses = [pause_s(10.0 * step) for step in range(12)]
    assert pauses == [0.0] * 10 + [1.5] * 2
    assert pause_s(180.0) == 0.0


def test_a_request_that_left_late_has_its_whole_time_for_an_answer(session):
    session.want("trade/0")
    (frame,) = session.outbox(now=0.0)
    session.posted(frame, now=60.0)
    session.receive({"type": "pong"}, now=60.0)
    assert not session.is_dead(now=61.0)
    assert session.is_dead(now=71.0)
    acknowledge(session, "trade:0", now=61.0)
    session.posted({"type": "ping"}, now=62.0)
    session.posted(frame, now=62.0)
    session.resubscribe("trade/0")
    (frame,) = session.outbox(now=62.0)
    session.posted(frame, now=80.0)
    session.receive({"type": "pong"}, now=80.0)
    assert not session.is_dead(now=81.0)


def test_pings_are_answered_apart_from_what_has_to_wait(session):
    session.want("trade/0")
    session.receive({"type": "ping"}, now=0.0)
    assert session.pongs() == [{"type": "pong"}]
    assert session.pongs() == []
    assert session.outbox(now=0.0) == [subscribe("trade/0")]


def test_letting_go_of_a_live_channel_unsubscribes(session):
    live(session, "trade/0")
    session.unwant("trade/0")
    session.unwant("trade/0")
    session.unwant("trade/9")
    assert session.outbox(now=0.0) == [unsubscribe("trade/0")]
    unsubscribed(session, "trade:0")
    assert session.outbox(now=0.0) == []
    update = {"type": "update/trade", "channel": "trade:0"}
    assert session.receive(update, now=0.0) == []


def test_letting_go_of_an_unanswered_channel_waits_for_its_answer(session):
    session.want("trade/0")
    session.want("trade/1")
    session.outbox(now=0.0)
    session.unwant("trade/0")
    session.unwant("trade/1")
    assert session.outbox(now=0.0) == []
    assert acknowledge(session, "trade:0") == []
    assert session.outbox(now=0.0) == [unsubscribe("trade/0")]
    unsubscribed(session, "trade:1")
    assert refuse(session, 30005, "Invalid Channel : trade:1") == []
    unsubscribed(session, "trade:0")
    assert session.outbox(now=0.0) == []
    session.want("trade/0")
    assert session.outbox(now=0.0) == [subscribe("trade/0")]


def test_letting_go_of_what_was_never_asked_says_nothing(session):
    session.want("trade/0")
    session.unwant("trade/0")
    assert session.outbox(now=0.0) == []


def test_wanting_again_what_is_leaving_asks_after_it_has_left(session):
    live(session, "trade/0")
    session.unwant("trade/0")
    session.want("trade/0")
    assert session.outbox(now=0.0) == [unsubscribe("trade/0")]
    unsubscribed(session, "trade:0")
    assert session.outbox(now=0.0) == [subscribe("trade/0")]


def test_what_is_let_go_does_not_come_back_with_a_new_connection(session):
    live(session, "trade/0")
    session.unwant("trade/0")
    session.connected(now=1.0)
    assert session.outbox(now=1.0) == []


def test_a_ping_is_answered_and_silence_is_broken(session):
    assert session.receive({"type": "ping"}, now=1.0) == []
    assert session.outbox(now=1.0) == [{"type": "pong"}]
    assert session.outbox(now=30.0) == []
    assert session.deadline(now=30.0) == 31.0
    assert session.outbox(now=31.0) == [{"type": "ping"}]
    assert session.receive({"type": "pong"}, now=31.5) == []
    assert session.receive({"type": "connected", "session_id": "x"}, now=31.5) == []


def test_the_deadline_is_the_first_thing_that_can_happen(session):
    assert session.deadline(now=0.0) == 30.0
    session.want("account_tx/7", private=True)
    assert session.deadline(now=0.0) == 0.0, "a token is due"
    session.offer_token("first", look_at=20.0)
    assert session.deadline(now=0.0) == 20.0
    session.outbox(now=0.0)
    assert session.deadline(now=0.0) == 10.0
    assert session.deadline(now=50.0) == 50.0


@pytest.mark.parametrize("answered", [True, False])
def test_an_unanswered_subscribe_makes_the_connection_dead(session, answered):
    session.want("trade/0")
    session.outbox(now=0.0)
    if answered:
        acknowledge(session, "trade:0", now=9.0)
    assert not session.is_dead(now=9.9)
    assert session.is_dead(now=10.0) is not answered


def test_an_unanswered_unsubscribe_makes_the_connection_dead(session):
    live(session, "trade/0")
    session.resubscribe("trade/0")
    assert session.outbox(now=5.0) == [unsubscribe("trade/0")]
    assert session.deadline(now=5.0) == 15.0
    assert not session.is_dead(now=14.9)
    assert session.is_dead(now=15.0)


def test_a_silent_exchange_makes_the_connection_dead(session):
    assert not session.is_dead(now=74.9)
    assert session.is_dead(now=75.0)
    session.receive({"type": "ping"}, now=75.0)
    assert not session.is_dead(now=76.0)


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"type": 5},
        {"type": "update/trade"},
        {"type": "unsubscribed", "channel": 7},
        {"error": "words"},
        {"error": {"message": "no code"}},
    ],
)
def test_an_unreadable_frame_is_counted_and_told(session, message):
    (event,) = session.receive(message, now=0.0)
    assert event.kind is EventKind.UNREADABLE
    assert session.unreadable_frames == 1


@pytest.mark.parametrize("code", sorted(UNAUTHORIZED))
def test_a_token_refused_unasked_has_private_channels_asked_for_again(session, code):
    session.offer_token("first", look_at=5000.0)
    for name in ("account_all_orders/1", "account_all_trades/1"):
        live(session, name, private=True)
    live(session, "trade/0")
    (event,) = refuse(session, code, "invalid auth: expired token", now=9.0)
    assert (event.kind, event.channel) == (EventKind.REFUSED, None)
    assert session.token_due(now=9.0)
    assert [session.is_live(n) for n in ("trade/0", "account_all_orders/1")] == [
        True,
        False,
    ]
    session.offer_token("second", look_at=6000.0)
    left = session.outbox(now=9.0)
    assert left == [
        unsubscribe("account_all_orders/1"),
        unsubscribe("account_all_trades/1"),
    ]
    for frame in left:
        unsubscribed(session, frame["channel"].replace("/", ":"), now=9.1)
    assert session.outbox(now=9.2) == [
        subscribe("account_all_orders/1", auth="second"),
        subscribe("account_all_trades/1", auth="second"),
    ]


def test_a_refusal_that_names_a_live_channel_is_about_that_one(session):
    session.offer_token("first", look_at=5000.0)
    for name in ("account_all_orders/1", "account_all_trades/1", "trade/0"):
        live(session, name, private=not name.startswith("trade"))
    refuse(session, 20013, "expired : account_all_trades:1", now=9.0)
    refuse(session, 20013, "expired : trade:0", now=9.0)
    assert session.outbox(now=9.0) == [unsubscribe("account_all_trades/1")]


def test_where_no_token_is_good_another_is_asked_for_once_a_minute(session):
    session.want("account_all_orders/1", private=True)
    session.offer_token("first", look_at=5000.0)
    session.outbox(now=0.0)
    refuse(session, 20013, "invalid auth", now=1.0)
    assert session.token_due(now=1.0)
    session.offer_token("second", look_at=5000.0)
    assert session.outbox(now=1.0) == [subscribe("account_all_orders/1", auth="second")]
    refuse(session, 20013, "invalid auth", now=2.0)
    assert not session.token_due(now=60.9)
    refuse(session, 20013, "invalid auth", now=61.0)
    assert session.token_due(now=61.0)


def test_replies_and_shutdowns_are_handed_on(session):
    for kind in ("jsonapi/sendtx", "jsonapi/sendtxbatch"):
        (event,) = session.receive({"type": kind, "data": {}}, now=0.0)
        assert event.kind is EventKind.REPLY
    (event,) = session.receive({"id": "1", "error": {"code": 21104}}, now=0.0)
    assert (event.kind, event.code) == (EventKind.REPLY, 21104)
    (event,) = session.receive({"type": "shutdown"}, now=0.0)
    assert event.kind is EventKind.SHUTDOWN


@pytest.mark.parametrize("code", sorted(CROWDED))
def test_where_there_are_too_many_nothing_is_asked_for_a_while(session, code):
    for market in range(3):
        session.want(f"trade/{market}")
    session.outbox(now=0.0)
    session.want("order_book/0")
    (event,) = refuse(session, code, "Too Many Subscriptions", now=1.0)
    assert (event.kind, event.code) == (EventKind.REFUSED, code)
    assert event.channel == "trade/0", "it answers what has waited for longest"
    for name in ("trade:1", "trade:2"):
        acknowledge(session, name, now=1.0)
    assert session.outbox(now=2.0) == []
    for now in (30.0, 60.0):
        session.receive({"type": "pong"}, now=now)
        assert subscribe("order_book/0") not in session.outbox(now=now)
    assert session.deadline(now=60.0) <= 61.0
    assert session.outbox(now=61.0) == [subscribe("trade/0"), subscribe("order_book/0")]


def test_too_many_messages_while_nothing_is_asked_concerns_everybody(session):
    live(session, "trade/0")
    (event,) = refuse(session, 30009, "Too Many Messages", now=1.0)
    assert event.channel is None
    assert session.is_live("trade/0")
    session.want("trade/1")
    assert session.outbox(now=2.0) == []
    session.closed()
    session.connected(now=3.0)
    assert len(session.outbox(now=3.0)) == 2, "a new connection starts over"


def test_a_channel_is_live_from_its_snapshot_until_it_leaves(session):
    assert not session.is_live("trade/0")
    session.want("trade/0")
    session.outbox(now=0.0)
    assert not session.is_live("trade/0")
    acknowledge(session, "trade:0")
    assert session.is_live("trade/0")
    assert session.is_live("trade:0")
    session.resubscribe("trade/0")
    assert not session.is_live("trade/0")
    session.outbox(now=0.0)
    unsubscribed(session, "trade:0")
    session.outbox(now=0.0)
    acknowledge(session, "trade:0")
    assert session.is_live("trade/0")
    session.unwant("trade/0")
    assert not session.is_live("trade/0")


def test_the_outside_of_a_frame_says_the_same_as_all_of_it(session):
    live(session, "trade/0")
    for kind in ("update/trade", "news", "subscribed/trade"):
        for name in ("trade:0", "trade/0", "trade:9"):
            whole = session.receive({"type": kind, "channel": name}, now=1.0)
            assert session.heard(kind, name, now=1.0) == whole
    assert session.heard("update/trade", "trade:0", now=70.0)
    assert not session.is_dead(now=100.0), "the exchange was heard"


def test_it_is_stirred_by_what_may_have_something_to_be_said(session):
    def stirs(change):
        session.outbox(now=0.0)
        assert not session.stirred
        change()
        return session.stirred

    assert stirs(lambda: session.want("trade/0"))
    assert stirs(lambda: acknowledge(session, "trade:0"))
    assert not stirs(lambda: session.heard("update/trade", "trade:0", now=0.0))
    assert not stirs(lambda: session.heard("update/trade", "trade:9", now=0.0))
    assert stirs(lambda: session.receive({"type": "ping"}, now=0.0))
    assert not stirs(lambda: session.resubscribe("trade/9"))
    assert stirs(lambda: session.resubscribe("trade/0"))
    assert stirs(lambda: unsubscribed(session, "trade:0"))
    assert stirs(lambda: session.unwant("trade/0"))
    assert stirs(lambda: session.offer_token("first", look_at=100.0))
    assert stirs(lambda: session.connected(now=0.0))


def test_where_there_is_no_token_it_is_asked_for_again_when_told_to(session):
    session.want("account_tx/7", private=True)
    session.lack_token(look_at=5.0)
    assert not session.token_due(now=4.9)
    assert session.deadline(now=0.0) == 5.0
    assert session.token_due(now=5.0)
    assert session.outbox(now=5.0) == []
