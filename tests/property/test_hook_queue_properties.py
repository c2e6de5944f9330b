"""Backlogs of hooks against plain lists, however putting and taking alternate."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from wrappy._core.hook_queue import Backlog, HookQueue


class HookQueueMachine(RuleBasedStateMachine):
    """The same rows and values go to a queue of each kind."""

    def __init__(self):
        super().__init__()
        self.queues = {}

    @initialize(cap=st.integers(1, 12), rows_per_call=st.integers(1, 8))
    def begin(self, cap, rows_per_call):
        self.cap, self.rows_per_call = cap, rows_per_call
        self.queues = {
            kind: HookQueue(kind, cap=cap, rows_per_call=rows_per_call)
            for kind in Backlog
        }
        self.told = 0
        self.seen = {kind: [] for kind in Backlog}
        self.newest = {}
        self.was_overfull = False

    @rule(count=st.integers(0, 20), key=st.sampled_from("abc"))
    def put(self, count, key):
        rows = list(range(self.told, self.told + count))
        self.queues[Backlog.KEEP].put(rows)
        self.queues[Backlog.NEWEST].put(rows)
        for row in rows:
            self.queues[Backlog.LATEST].put((key, row), key)
            self.queues[Backlog.EACH].put(row)
            self.newest[key] = row
        self.told += count

    @rule(kind=st.sampled_from(Backlog))
    def take(self, kind):
        queue = self.queues[kind]
        if not queue.waiting:
            return
        value = queue.take()
        if kind in (Backlog.KEEP, Backlog.NEWEST):
            assert 0 < len(value) <= self.rows_per_call
            self.seen[kind] += value
        else:
            self.seen[kind].append(value)

    @invariant()
    def kept_rows_are_seen_once_each_in_order(self):
        seen, queue = self.seen[Backlog.KEEP], self.queues[Backlog.KEEP]
        assert seen == list(range(len(seen)))
        assert len(seen) + queue.waiting == self.told
        assert queue.dropped == 0

    @invariant()
    def overfull_turns_on_at_the_cap_and_off_at_half_of_it(self):
        queue = self.queues[Backlog.KEEP]
        if queue.waiting >= self.cap:
            assert queue.overfull
        elif queue.waiting <= self.cap // 2:
            assert not queue.overfull
        else:
            assert queue.overfull == self.was_overfull
        self.was_overfull = queue.overfull

    @invariant()
    def what_was_let_go_is_old_and_counted(self):
        for kind in (Backlog.NEWEST, Backlog.EACH):
            seen, queue = self.seen[kind], self.queues[kind]
            assert seen == sorted(set(seen))
            assert len(seen) + queue.waiting + queue.dropped == self.told
            assert queue.waiting <= self.cap
            assert not queue.overfull

    @invariant()
    def at_most_one_value_a_key_waits(self):
        queue = self.queues[Backlog.LATEST]
        assert queue.waiting <= len(self.newest)
        assert len(self.seen[Backlog.LATEST]) + queue.waiting + queue.coalesced == (
            self.told
        )

    def teardown(self):
        if not self.queues:
            return
        for kind, queue in self.queues.items():
            while queue.waiting:
                self.take(kind)
        self.kept_rows_are_seen_once_each_in_order()
        last = dict(self.seen[Backlog.LATEST])
        assert last == self.newest
        for key in last:
            rows = [row for k, row in self.seen[Backlog.LATEST] if k == key]
            assert rows == sorted(rows)


TestHookQueue = HookQueueMachine.TestCase
