"""Looking for orders of ours among an account's, live and ended."""

from __future__ import annotations

import pytest

from wrappy.errors import AuthRejectedError
from wrappy.lighter.asking.account import ACTIVE_ORDERS_PATH, INACTIVE_ORDERS_PATH
from wrappy.lighter.asking.order_search import (
    MOST_PAGES,
    CreatedOrder,
    OrderSearch,
    created_orders,
)
from wrappy.protocol.intents import CancelOrder, CreateGroupedOrders, CreateOrder
from wrappy.signing.null import NullSigner

SINCE_MS = 1_700_000_000_000


class Account:
    """An exchange that shows orders, a page at a time; paces and signs nothing."""

    account_index, api_key_index, chain_id, public_key = 5, 4, 304, ""

    def __init__(self, live=(), *pages):
        self.live, self.pages = list(live), list(pages) or [[]]
        self.asked, self.tokens, self.refuses = [], [], 0

    async def get(self, path, params=None, *, token=None):
        self.asked.append((path, params))
        self.tokens.append(token)
        if self.refuses:
            self.refuses -= 1
            raise AuthRejectedError(20013, "invalid auth", path)
        if path == ACTIVE_ORDERS_PATH:
            market = params["market_id"]
            rows = [row for row in self.live if row["market_index"] == market]
            return {"orders": rows}
        page = int(params.get("cursor", 0))
        following = str(page + 1) if page + 1 < len(self.pages) else ""
        return {"orders": self.pages[page], "next_cursor": following}

    async def wait(self, path, *, urgent=False):
        pass

    async def auth_token(self, signer, *, deadline_s):  # noqa: ARG002 - shapes of the real ones
        return f"{deadline_s}:5:4:{len(self.tokens):0160x}"

    def pages_read(self):
        return [path for path, _ in self.asked].count(INACTIVE_ORDERS_PATH)


def row(number, market=0, **fields):
    made = {"created_at": SINCE_MS + 1, "updated_at": SINCE_MS + 1}
    return {"client_order_index": number, "market_index": market, **made, **fields}


async def shown(account, *orders):
    search = OrderSearch(
        signer=account, rest=account, pace=account, worker=account, unix_s=lambda: 0.0
    )
    wanted = {CreatedOrder(market, number): SINCE_MS for market, number in orders}
    return {tuple(order) for order in (await search.shown(wanted)).orders}


async def test_live_and_ended_orders_are_found_by_market_and_number():
    account = Account([row(1), row(2, 1)], [row(3)], [row(4)])
    wanted = [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]
    assert await shown(account, *wanted) == {(0, 1), (0, 3), (0, 4)}


async def test_no_more_is_read_than_is_needed():
    account = Account([row(1)], [row(3)], [row(4)])
    assert await shown(account, (0, 1)) == {(0, 1)}
    assert account.pages_read() == 0
    account = Account([], [row(9, updated_at=SINCE_MS - 120_000)], [row(1)])
    assert await shown(account, (0, 1)) == set()
    assert account.pages_read() == 1, "it ended after that, if it ever was"
    account = Account([], *([[]] * 20))
    assert await shown(account, (0, 1)) == set()
    assert account.pages_read() == MOST_PAGES


@pytest.mark.parametrize(
    ("pages", "is_whole"),
    [
        ([[row(2)]], True),
        ([[row(2)] * 100] * 9 + [[row(2)] * 99], True),
        # As many as the exchange keeps, and none as old as what is looked for.
        ([[row(2)] * 100] * 10, False),
        ([[row(2)] * 100] * 12, False),
        ([[row(2)] * 100] * 9 + [[row(2, updated_at=SINCE_MS - 60_001)]], True),
        ([[row(2)] * 100] * 9 + [[row(1)] * 100], True),
    ],
)
async def test_lists_that_do_not_reach_back_do_not_tell_what_is_nowhere(
    pages, is_whole
):
    account = Account([], *pages)
    search = OrderSearch(
        signer=account, rest=account, pace=account, worker=account, unix_s=lambda: 0.0
    )
    found = await search.shown({CreatedOrder(0, 1): SINCE_MS})
    assert found.is_whole is is_whole


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (SINCE_MS, True),
        (SINCE_MS - 1, False),
        (SINCE_MS // 1000, True),
        (SINCE_MS // 1000 - 1, False),
        (0, True),
        (None, True),
        ("yesterday", True),
    ],
)
async def test_an_older_order_of_the_same_number_is_another_one(made, counts):
    account = Account([row(1, created_at=made)])
    assert bool(await shown(account, (0, 1))) is counts


async def test_rows_without_numbers_are_passed_over():
    account = Account([row(None), row("1")], [{"client_order_index": 1}])
    assert await shown(account, (0, 1)) == set()


async def test_a_token_that_was_refused_is_not_used_again():
    account = Account([row(1)])
    account.refuses = 1
    search = OrderSearch(
        signer=account, rest=account, pace=account, worker=account, unix_s=lambda: 0.0
    )
    with pytest.raises(AuthRejectedError):
        await search.shown({CreatedOrder(0, 1): SINCE_MS})
    await search.shown({CreatedOrder(0, 1): SINCE_MS})
    assert len(set(account.tokens)) == 2


def test_only_creations_create_orders():
    signer = NullSigner(account_index=5, api_key_index=4, chain_id=304)

    def order(number):
        return CreateOrder(2, number, 500, 100_000, is_ask=False)

    intents = [order(7), order(0), CreateGroupedOrders(2, (order(8), order(9)))]
    signed = signer.sign_many([*intents, CancelOrder(2, 7)], first_nonce=1)
    assert [created_orders(tx) for tx in signed] == [
        [(2, 7)],
        [],
        [(2, 8), (2, 9)],
        [],
    ]
