"""How late everything else on the event loop comes while 50 orders are signed and sent.

A timer beats every millisecond beside the client; a beat that comes late is what a
price, a fill or a stop of the same program would wait. The bound holds for the
99th percentile of all beats of a round.
"""

from __future__ import annotations

from benchmarks.clients import ask_in_turns
from benchmarks.measure import Row, main, row

OFFICIAL = "official SDK, 50 signed + 4 x sendTxBatch"
OURS = "LighterDealer, 50 enqueued + flush, REST"
OURS_STREAM = "LighterDealer, 50 enqueued + flush, WebSocket"
CASES = {
    OFFICIAL: "official-fifty",
    OURS: "dealer-fifty",
    OURS_STREAM: "dealer-fifty-stream",
}
ROUNDS, TIMES = 13, 8
QUICK_ROUNDS, QUICK_TIMES = 2, 1


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds, times = (QUICK_ROUNDS, QUICK_TIMES) if quick else (ROUNDS, TIMES)
    answers = ask_in_turns(CASES, times, rounds=rounds)
    rows = []
    for what, target in (("p99", "<= 5 ms"), ("worst", None)):
        figures = {
            f"{case}: {what}": [answer[f"{what}_ms"] for answer in told]
            for case, told in answers.items()
        }
        rows += [
            row(
                "loop_lag",
                f"{case}: {what}",
                figures,
                "ms",
                against=None if case == OFFICIAL else f"{OFFICIAL}: {what}",
                target=None if case == OFFICIAL else target,
            )
            for case in CASES
        ]
    return rows


if __name__ == "__main__":
    main(measure)
