"""Orders one by one, from the caller's numbers to the exchange's yes.

Every client is a process of its own and talks to the same stub (`server.py`). Each
order waits for the answer of the one before, so a second has as many orders as their
latency leaves room for.
"""

from __future__ import annotations

from benchmarks.clients import ask_in_turns
from benchmarks.measure import Row, main, row

OFFICIAL = "official SDK, create_order, REST"
OFFICIAL_STREAM = "official SDK, sign_create_order + its WebSocket example"
OFFICIAL_THREAD = "official SDK, signing moved to a thread + send_tx, REST"
OURS = "LighterDealer, order + flush, REST"
OURS_STREAM = "LighterDealer, order + flush, WebSocket"
BARE = ", no journal"
CASES = {
    OFFICIAL: "official-single",
    OFFICIAL_STREAM: "official-single-stream",
    OFFICIAL_THREAD: "official-single-thread",
    OURS: "dealer-single",
    OURS + BARE: "dealer-single-bare",
    OURS_STREAM: "dealer-single-stream",
    OURS_STREAM + BARE: "dealer-single-stream-bare",
}
PROMISED = (OURS, OURS_STREAM)
PEERS = {OURS: OFFICIAL, OURS_STREAM: OFFICIAL_STREAM, OFFICIAL_THREAD: OFFICIAL}
ROUNDS, ORDERS = 25, 30
QUICK_ROUNDS, QUICK_ORDERS = 2, 5
UNPACED_SENDS = 800
"""A premium dealer's burst; below it the dealer's own pace never waits."""


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds, orders = (QUICK_ROUNDS, QUICK_ORDERS) if quick else (ROUNDS, ORDERS)
    if (rounds + 1) * orders >= UNPACED_SENDS:
        raise ValueError("so many sends would measure the dealer's rate limit")
    answers = ask_in_turns(CASES, orders, rounds=rounds)
    figures = {
        case: [orders / answer["wall_s"] for answer in told]
        for case, told in answers.items()
    }
    rows = [
        row(
            "single",
            case,
            figures,
            "orders/s",
            against=PEERS.get(case),
            target=">= 3" if case in PROMISED else None,
        )
        for case in CASES
    ]
    shared = {f"{OURS_STREAM}; by create_order": figures[OURS_STREAM], **figures}
    rows.append(
        row(
            "single",
            f"{OURS_STREAM}; by create_order",
            shared,
            "orders/s",
            against=OFFICIAL,
            target=">= 3",
        )
    )
    for name in ("p50_ms", "p99_ms"):
        label = f": {name.removesuffix('_ms')} latency"
        latencies = {
            case + label: [answer[name] for answer in told]
            for case, told in answers.items()
        }
        rows += [
            row(
                "single",
                case + label,
                latencies,
                "ms",
                against=PEERS[case] + label if case in PEERS else None,
                target=">= 3" if case in PROMISED and name == "p50_ms" else None,
            )
            for case in CASES
            if not case.endswith(BARE)
        ]
    for case in PROMISED:
        label = f"journal's cost: {case}"
        rows.append(
            row(
                "single",
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
