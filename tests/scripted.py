"""An exchange made of lists: what a hub says is written down, what it hears is told."""

from __future__ import annotations

import asyncio
import json
from functools import partial

from wrappy.lighter.environment import Environment

NAMES = {"order_book": "order_book", "trade": "trades"}


class Wire:
    """A socket and its exchange, which answers subscriptions unless told not to.

    Attributes:
        sent: frames from the client.
        connects: connections made.
        answers: whether subscriptions are answered.
        refuses: error codes by channel.
        contents: what the snapshot of a channel holds.
        open: whether a connection can be made.
    """

    def __init__(self):
        self.sent = []
        self.connects = 0
        self.answers = True
        self.refuses = {}
        self.contents = {}
        self.closed = False
        self._incoming = asyncio.Queue()

    @property
    def is_open(self):
        return not self.closed

    @property
    def subscribed(self):
        return [f["channel"] for f in self.sent if f["type"] == "subscribe"]

    @property
    def left(self):
        return [f["channel"] for f in self.sent if f["type"] == "unsubscribe"]

    def tell(self, frame):
        """Say something to the client: a frame, bytes, or an error to raise."""
        self._incoming.put_nowait(frame)

    def update(self, channel, **content):
        """Tell an update of a channel."""
        self._speak("update", channel, content)

    async def connect(self):
        self.connects += 1
        self._incoming = asyncio.Queue()

    async def send(self, raw):
        frame = json.loads(raw)
        self.sent.append(frame)
        channel = frame.get("channel", "")
        if not self.answers:
            return
        if frame["type"] == "unsubscribe":
            name = channel.replace("/", ":")
            self.tell({"type": "unsubscribed", "channel": name})
        elif channel in self.refuses:
            words = f"no : {channel.replace('/', ':')}"
            self.tell({"error": {"code": self.refuses[channel], "message": words}})
        elif frame["type"] == "subscribe":
            self._speak("subscribed", channel, self.contents.get(channel, {}))

    def _speak(self, kind, channel, content):
        name = channel.partition("/")[0]
        start = {"type": f"{kind}/{name}", "channel": channel.replace("/", ":")}
        self.tell({**start, **content})

    async def receive(self, timeout_s):
        del timeout_s
        frame = await self._incoming.get()
        if isinstance(frame, BaseException):
            raise frame
        return frame if isinstance(frame, bytes) else json.dumps(frame).encode()

    async def disconnect(self):
        """Nothing to do: the next connection has a queue of its own."""

    async def aclose(self):
        self.closed = True


class Rest:
    """Answers no question."""

    def __init__(self, *_, **__):
        self.closed = False

    async def get(self, path, params=None, *, token=None):
        raise AssertionError(f"asked for {path} {params} {token is None}")

    async def aclose(self):
        self.closed = True


def environment_on(wire):
    """Return surroundings whose only exchange is on that wire."""
    return Environment(
        open_rest=Rest, open_stream=partial(_same, wire), watches_loop=False
    )


def _same(wire, *_, **__):
    return wire
