"""The stream session against a model exchange that refuses, loses and reorders."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wrappy._core.stream import (
    ALREADY_SUBSCRIBED,
    CROWDED,
    FIRST_REFUSAL_PAUSE_S,
    NOT_SUBSCRIBED,
    EventKind,
    StreamSession,
)

PUBLIC = tuple(f"trade/{market}" for market in range(6))
PRIVATE = ("account_tx/7", "account_all_orders/7", "account_all_trades/7")
LIMIT = 3
MANNERS = ("well", "well", "well", "well", "refuse", "mute", "lose", "crowded")
INVALID_CHANNEL = 30005


def reply_name(channel):
    return channel.replace("/", ":")


class Conversation(RuleBasedStateMachine):
    """A client with one session, and an exchange on the other end of the socket.

    The exchange works on requests in the order they came, but its answers may arrive
    in any order, or never.
    """

    def __init__(self):
        super().__init__()
        self.session = StreamSession(in_flight_limit=LIMIT)
        self.now = 0.0
        self.tokens = 0
        self.token = None
        self.wanted: set[str] = set()
        self.last_sent = 0.0
        self.open_connection()

    def open_connection(self):
        self.session.connected(now=self.now)
        self.requests: list[dict] = []
        self.answers: list[tuple[str, str | None, dict]] = []
        self.subscribed: dict[str, str | None] = {}
        self.asked: set[str] = set()
        self.refused: dict[str, tuple[str | None, float]] = {}
        self.unanswered: dict[str, str] = {}
        self.crowded_until = self.now
        self.last_sent = self.now

    @rule(channel=st.sampled_from(PUBLIC + PRIVATE))
    def want(self, channel):
        if channel not in self.wanted:
            # A wish that is made anew may be asked for anew.
            self.refused.pop(channel, None)
        self.wanted.add(channel)
        self.session.want(channel, private=channel in PRIVATE)

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def unwant(self, data):
        channel = data.draw(st.sampled_from(sorted(self.wanted)))
        self.wanted.discard(channel)
        self.session.unwant(channel)

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def resubscribe(self, data):
        self.session.resubscribe(data.draw(st.sampled_from(sorted(self.wanted))))

    @rule()
    def renew_token(self):
        self.tokens += 1
        self.token = f"token {self.tokens}"
        self.session.offer_token(self.token, look_at=self.now + 6300)

    @rule()
    def send(self):
        frames = self.session.outbox(now=self.now)
        if frames:
            self.last_sent = self.now
        for frame in frames:
            self.check_frame(frame)
        self.requests += frames

    def check_frame(self, frame):
        if frame["type"] not in ("subscribe", "unsubscribe"):
            return
        channel = frame["channel"]
        assert channel not in self.unanswered, "two requests under way at once"
        self.unanswered[channel] = frame["type"]
        if frame["type"] == "unsubscribe":
            assert channel in self.asked
            return
        assert channel in self.wanted
        assert self.now >= self.crowded_until, "asked again although it was too much"
        private = channel in PRIVATE
        assert frame.get("auth") == (self.token if private else None)
        assert not private or self.token is not None
        if channel in self.refused:
            token, since = self.refused[channel]
            renewed = private and token != self.token
            assert renewed or self.now >= since + 2 * FIRST_REFUSAL_PAUSE_S
        self.asked.add(channel)

    @invariant()
    def unanswered_subscribes_are_bounded(self):
        assert list(self.unanswered.values()).count("subscribe") <= LIMIT

    @precondition(lambda self: self.requests)
    @rule(manner=st.sampled_from(MANNERS))
    def work(self, manner):
        request = self.requests.pop(0)
        if request["type"] not in ("subscribe", "unsubscribe"):
            return
        channel = request["channel"]
        if manner != "lose":
            answer = self.answer(request, manner)
            self.answers.append((channel, request.get("auth"), answer))

    def answer(self, request, manner):
        channel = request["channel"]
        name = reply_name(channel)
        if request["type"] == "unsubscribe":
            if self.subscribed.pop(channel, "none") == "none":
                return error(NOT_SUBSCRIBED, f"Not Subscribed to : {name}")
            return {"type": "unsubscribed", "channel": name}
        if channel in self.subscribed:
            return error(ALREADY_SUBSCRIBED, f"Already Subscribed to : {name}")
        if manner == "crowded":
            return error(min(CROWDED), "Too Many of them")
        if manner in ("refuse", "mute"):
            where = f" : {name}" if manner == "refuse" else ""
            return error(INVALID_CHANNEL, f"Invalid Channel{where}")
        self.subscribed[channel] = request.get("auth")
        return {"type": f"subscribed/{name.partition(':')[0]}", "channel": name}

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def deliver(self, data):
        at = data.draw(st.integers(0, len(self.answers) - 1))
        self.hand_over(at)

    def hand_over(self, at):
        channel, token, message = self.answers.pop(at)
        del self.unanswered[channel]
        if message.get("error", {}).get("code") == INVALID_CHANNEL:
            self.refused[channel] = (token, self.now)
        if message.get("error", {}).get("code") in CROWDED:
            self.crowded_until = self.now + self.session.refusal_pause_s
        events = self.session.receive(message, now=self.now)
        for event in events:
            if event.kind is EventKind.SNAPSHOT:
                assert event.channel in self.wanted

    @rule(channel=st.sampled_from(PUBLIC + PRIVATE))
    def forget_silently(self, channel):
        """The exchange may have a subscription that nobody remembers, or lose one."""
        if channel in self.unanswered:
            return
        if channel in self.subscribed:
            del self.subscribed[channel]
            message = {"type": "unsubscribed", "channel": reply_name(channel)}
            self.session.receive(message, now=self.now)
        else:
            self.subscribed[channel] = None

    @precondition(lambda self: self.subscribed)
    @rule(data=st.data())
    def update(self, data):
        channel = data.draw(st.sampled_from(sorted(self.subscribed)))
        was_live = self.session.is_live(channel)
        frame = update_of(channel)
        events = self.session.heard(frame["type"], frame["channel"], now=self.now)
        assert events == self.session.receive(frame, now=self.now)
        assert bool(events) is was_live
        for event in events:
            assert event.kind is EventKind.UPDATE
            assert event.channel == channel
            assert channel in self.wanted

    @rule(seconds=st.floats(0.0, 100.0))
    def time_passes(self, seconds):
        """The shell looks again at the deadline at the latest."""
        self.now = min(self.now + seconds, self.session.deadline(now=self.now))
        if self.session.is_dead(now=self.now):
            self.open_connection()
        self.send()
        assert self.now < self.last_sent + self.session.ping_interval_s

    def settle(self):
        """Let the exchange behave well until nothing is under way any more."""
        for _ in range(200):
            may_ask = self.now >= self.crowded_until
            self.send()
            busy = bool(self.requests or self.answers)
            while self.requests:
                self.work("well")
            while self.answers:
                self.hand_over(0)
            if busy:
                continue
            # What was lost, or refused without a name, is found out by waiting.
            self.now += self.session.acknowledge_limit_s
            if self.session.is_dead(now=self.now):
                self.open_connection()
            elif may_ask:
                assert not self.unanswered
                return
        raise AssertionError("the conversation never comes to rest")

    def teardown(self):
        self.settle()
        for channel in self.wanted:
            private = channel in PRIVATE
            if channel in self.refused or (private and self.token is None):
                continue
            events = self.session.receive(update_of(channel), now=self.now)
            assert [event.kind for event in events] == [EventKind.UPDATE], channel
            assert channel in self.subscribed
            if private:
                assert self.subscribed[channel] == self.token


def error(code, words):
    return {"error": {"code": code, "message": words}}


def update_of(channel):
    name = reply_name(channel)
    return {"type": f"update/{name.partition(':')[0]}", "channel": name}


Conversation.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None
)
test_conversation = Conversation.TestCase
