"""Batches of 15 limit orders, from the caller's numbers to the exchange's yes.

Every client is a process of its own and talks to the same stub (`server.py`). The
official client signs each order with an explicit nonce and sends the batch, as its
examples do; once more with the signing moved to a thread, which it does not do by
itself, to tell how much of the difference that alone makes.
"""

from __future__ import annotations

from benchmarks.clients import BATCH, ask_in_turns
from benchmarks.measure import Row, main, row

OFFICIAL = "official SDK, 15 signed + sendTxBatch"
OFFICIAL_STREAM = "official SDK, 15 signed + its WebSocket example"
OFFICIAL_THREAD = "official SDK, 15 signed on a thread + sendTxBatch"
OURS = "LighterDealer, 15 enqueued + flush, REST"
OURS_STREAM = "LighterDealer, 15 enqueued + flush, WebSocket"
BARE = ", no journal"
CASES = {
    OFFICIAL: "official-batch",
    OFFICIAL_STREAM: "official-batch-stream",
    OFFICIAL_THREAD: "official-batch-thread",
    OURS: "dealer-batch",
    OURS + BARE: "dealer-batch-bare",
    OURS_STREAM: "dealer-batch-stream",
    OURS_STREAM + BARE: "dealer-batch-stream-bare",
}
PROMISED = (OURS, OURS_STREAM)
PEERS = {OURS: OFFICIAL, OURS_STREAM: OFFICIAL_STREAM, OFFICIAL_THREAD: OFFICIAL}
ROUNDS, BATCHES = 25, 12
QUICK_ROUNDS, QUICK_BATCHES = 2, 3
UNPACED_SENDS = 800
"""A premium dealer's burst; below it the dealer's own pace never waits."""


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds, batches = (QUICK_ROUNDS, QUICK_BATCHES) if quick else (ROUNDS, BATCHES)
    if (rounds + 1) * batches >= UNPACED_SENDS:
        raise ValueError("so many sends would measure the dealer's rate limit")
    answers = ask_in_turns(CASES, batches, rounds=rounds)
    figures = {
        case: [batches * BATCH / answer["wall_s"] for answer in told]
        for case, told in answers.items()
    }
    rows = [
        row(
            "batch",
            case,
            figures,
            "orders/s",
            against=PEERS.get(case),
            target=">= 5" if case in PROMISED else None,
        )
        for case in CASES
    ]
    used = {
        f"{case}: client CPU": [
            answer["cpu_s"] / batches / BATCH * 1e6 for answer in told
        ]
        for case, told in answers.items()
    }
    rows += [
        row(
            "batch",
            f"{case}: client CPU",
            used,
            "us/order",
            against=f"{PEERS[case]}: client CPU" if case in PEERS else None,
        )
        for case in CASES
        if not case.endswith(BARE)
    ]
    for case in PROMISED:
        label = f"journal's cost: {case}"
        rows.append(
            row(
                "batch",
                label,
                {label: figures[case], **figures},
                "orders/s",
                against=case + BARE,
                target=">= 0.85",
            )
        )
    return rows


if __name__ == "__main__":
    main(measure)
