"""A listener of a supervised stream that writes down what it hears."""

from __future__ import annotations

import json


class Heard:
    """What a connection brought.

    Attributes:
        kinds: of everything, in order: names of events, `snapshot` and `update`.
        frames: channel, content and whether it was a snapshot.
        closings: reasons.
    """

    def __init__(self):
        self.kinds = []
        self.frames = []
        self.closings = []

    def on_event(self, event):
        self.kinds.append(event.kind.value)

    def on_frame(self, channel, raw, *, snapshot):
        self.kinds.append("snapshot" if snapshot else "update")
        self.frames.append((channel, json.loads(raw), snapshot))

    def on_closed(self, reason):
        self.closings.append(reason)

    def snapshots(self, name):
        return sum(
            snap and channel.startswith(name) for channel, _, snap in self.frames
        )
