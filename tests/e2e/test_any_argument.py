"""Any value for any argument: denied by name with no nonce spent, or accepted.

Each example calls one public method with drawn values and flushes. The exchange's own
record is the judge: what was denied here has left no trace there, and what was not
denied is a transaction that it accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from wrappy import (
    AuthRejectedError,
    DealerConfig,
    InvalidOrderError,
    LighterDealer,
    OrderRejectedError,
    RequestTimeoutError,
    UnknownMarketError,
    UsageError,
)
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import VirtualLoop
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.settings import VenueSettings

pytestmark = pytest.mark.slow

EXAMPLES = 200
BELOW_INITIAL_MARGIN = 21508
"""What only the exchange can know: how much margin the mark price needs now."""

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=6),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.decimals(),
    st.just(object),
)
"""What nobody should pass, and now and then what somebody may."""


@st.composite
def arguments_of(draw, name):
    """Draw what may well be right, with up to two arguments turned odd."""
    drawn = draw(st.fixed_dictionaries(CALLS[name]))
    for turned in draw(st.lists(st.sampled_from(sorted(drawn)), max_size=2)):
        drawn[turned] = draw(odd)
    return drawn


price = st.one_of(
    st.integers(3_900, 4_100),
    st.floats(3_900, 4_100),
    st.decimals(3_900, 4_100, places=3),
)
size = st.one_of(st.floats(0.01, 1), st.floats(-1, -0.01), st.decimals(-1, 1, places=5))
above, below = st.integers(4_101, 4_150), st.integers(3_850, 3_899)
trigger = st.one_of(above, below)
flag = st.booleans()
coi = st.one_of(st.none(), st.integers(1, 50), st.integers(1, 2**48 - 1))
bps = st.one_of(st.none(), st.integers(0, 400))
expiry = st.one_of(st.none(), st.integers(300, 30 * 86_400))
wait_s = st.just(0.5)
maybe_price = st.one_of(st.none(), price)
limit = st.integers(1, 200)

CALLS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "create_limit_order": {
        "price": price,
        "size": size,
        "post_only": flag,
        "reduce_only": flag,
        "time_in_force": st.sampled_from(["gtt", "ioc", "post_only"]),
        "expiry_s": expiry,
        "client_order_index": coi,
    },
    "create_market_order": {
        "size": size,
        "avg_execution_price": maybe_price,
        "reduce_only": flag,
        "slippage_bps": bps,
        "client_order_index": coi,
    },
    "create_stop_loss": {
        "trigger_price": price,
        "size": size,
        "price": maybe_price,
        "slippage_bps": bps,
        "reduce_only": flag,
        "expiry_s": expiry,
        "client_order_index": coi,
    },
    "create_take_profit": {
        "trigger_price": price,
        "size": size,
        "price": maybe_price,
        "slippage_bps": bps,
        "reduce_only": flag,
        "expiry_s": expiry,
        "client_order_index": coi,
    },
    "create_twap_order": {
        "size": size,
        "duration_s": st.one_of(st.integers(300, 86_400)),
        "price": maybe_price,
        "slippage_bps": bps,
        "reduce_only": flag,
        "client_order_index": coi,
    },
    "create_bracket": {
        "price": price,
        "size": size,
        "take_profit": trigger,
        "stop_loss": trigger,
        "take_profit_price": maybe_price,
        "stop_loss_price": maybe_price,
        "slippage_bps": bps,
        "post_only": flag,
        "expiry_s": expiry,
    },
    "create_oto": {
        "price": price,
        "size": size,
        "take_profit": st.one_of(st.none(), trigger),
        "stop_loss": st.one_of(st.none(), trigger),
        "child_price": maybe_price,
        "slippage_bps": bps,
        "post_only": flag,
        "expiry_s": expiry,
    },
    "create_oco": {
        "size": size,
        "take_profit": trigger,
        "stop_loss": trigger,
        "take_profit_price": maybe_price,
        "stop_loss_price": maybe_price,
        "slippage_bps": bps,
        "expiry_s": expiry,
    },
    "cancel_order_by_coi": {"client_order_index": coi},
    "update_order_by_coi": {
        "client_order_index": coi,
        "price": maybe_price,
        "quantity": size,
        "trigger_price": maybe_price,
    },
    "batch_cancel_and_create": {
        "cancel_client_order_indices": st.one_of(st.lists(coi, max_size=3)),
        "new_limit_orders": st.one_of(
            st.lists(st.one_of(st.tuples(price, size)), max_size=3)
        ),
        "post_only": flag,
        "reduce_only": flag,
    },
    "close_position": {"size": size, "slippage_bps": bps, "timeout_s": wait_s},
    "cancel_all_orders": {"everywhere": flag},
    "schedule_cancel_all": {"after_s": st.one_of(st.integers(300, 1_296_000))},
    "arm_dead_man": {"horizon_s": st.one_of(st.integers(300, 86_400))},
    "set_leverage": {
        "leverage": st.one_of(st.none(), st.integers(1, 50)),
        "initial_margin_fraction": st.one_of(st.none(), st.integers(1, 10_000)),
        "margin_mode": st.sampled_from(["cross", "isolated"]),
        "timeout_s": wait_s,
    },
    "change_margin": {"amount_usdc": size, "add": flag, "timeout_s": wait_s},
    "fetch_open_orders": {
        "market_index": st.one_of(st.none(), st.integers(0, 2)),
        "everywhere": flag,
    },
    "fetch_candles": {
        "resolution": st.sampled_from(["1m", "5m", "1h", "1d"]),
        "count": st.integers(1, 3),
        "until_s": st.one_of(st.none(), st.integers(0, 2_000_000_000)),
    },
    "fetch_my_position": {"symbol": st.sampled_from(["ETH", "BTC"])},
    "fetch_position_of": {
        "account_index": st.just(123_456),
        "symbol": st.sampled_from(["ETH", "BTC"]),
        "timeout_s": wait_s,
        "urgent": flag,
    },
    "fetch_order": {"client_order_index": coi},
    "fetch_ended_orders": {"limit": limit, "everywhere": flag},
    "fetch_my_trades": {
        "limit": limit,
        "since_s": st.one_of(st.none(), st.floats(0, 2e9)),
        "everywhere": flag,
    },
    "receipt": {"client_order_index": coi},
    "wait_settled": {"client_order_index": coi, "timeout": wait_s},
}
NAMED = {
    "batch_cancel_and_create": {
        *CALLS["batch_cancel_and_create"],
        *("price", "size"),
    }
}
"""What may be named besides the arguments themselves: the parts of a pair."""

WITHOUT_ARGUMENTS = {
    "abort_scheduled_cancel",
    "acknowledge_foreign_nonce",
    "batch",
    "disarm_dead_man",
    "drop_queued",
    "fetch_my_balance",
    "fetch_positions",
    "flush",
    "reconcile",
    "now_ms",
}
ELSEWHERE = {
    "aclose",
    "attach_guard",
    "attach_prices",
    "cancel_order",
    "create",
    "enqueue_limit",
    "feed_ws_orders",
    "from_config",
    "update_order",
}
"""Told apart from here: deprecated calls, beginnings and ends, feeding."""


@dataclass
class Desk:
    """A dealer at an exchange in the same loop."""

    loop: VirtualLoop
    exchange: InProcessExchange
    dealer: LighterDealer


async def opened(tmp_path, **changes):
    settings = VenueSettings(
        verify=False,
        flow="none",
        price_bands="off",
        collateral=10**17,
        reduce_only_without_position="cancel",
    )
    exchange = InProcessExchange(settings)
    await exchange.__aenter__()
    owner = exchange.accounts[0]
    config = DealerConfig(
        base_url=exchange.base_url,
        account_index=owner.account_index,
        api_keys=(
            {
                "api_key_index": owner.api_keys[0].api_key_index,
                "api_key_private_key": owner.api_keys[0].api_key_private_key,
            },
        ),
        chain_id=exchange.chain_id,
        symbol="ETH",
        standard_account=False,
        ip_weight_per_minute=10_000_000,
        state_dir=str(tmp_path / "state"),
        journal=False,
        **changes,
    )
    dealer = await LighterDealer.create(config, environment=exchange.environment)
    exchange.engine.exchange.apply_flow(
        [
            SetIndexPrice(0, 400_000),
            SetLevel(0, False, 399_990, 10**9),
            SetLevel(0, True, 400_010, 10**9),
        ],
        now_us=int(exchange.environment.unix_s() * 1_000_000),
    )
    return exchange, dealer


@contextlib.contextmanager
def desk_of(tmp_path, **changes):
    loop = VirtualLoop()
    try:
        exchange, dealer = loop.run_until_complete(opened(tmp_path, **changes))
        try:
            yield Desk(loop, exchange, dealer)
        finally:
            loop.run_until_complete(dealer.aclose())
            loop.run_until_complete(exchange.aclose())
    finally:
        loop.close()


@pytest.fixture
def desk(tmp_path):
    with desk_of(tmp_path) as made:
        yield made


@pytest.fixture
def dry(tmp_path):
    with desk_of(tmp_path, prefer_high_level=True) as made:
        yield made


async def tried(dealer, name, arguments):  # noqa: PLR0911 - one for each argument
    """Call a method and flush; return the argument that was named, if one was."""
    try:
        answer = getattr(dealer, name)(**arguments)
        if inspect.isawaitable(answer):
            await answer
        await dealer.flush()
    except InvalidOrderError as error:
        return error.field
    except UnknownMarketError:
        return "symbol" if "symbol" in CALLS[name] else "market_index"
    except OrderRejectedError as error:
        if name != "change_margin" or error.code != BELOW_INITIAL_MARGIN:
            raise
        return "amount_usdc"
    except AuthRejectedError:
        if name != "fetch_position_of":
            raise
        return "account_index"  # of an account nobody has
    except RequestTimeoutError:
        if name != "fetch_position_of":
            raise
        return "timeout_s"  # too short for the pace
    except UsageError:
        return "client_order_index"  # of an order nobody placed
    return None


async def prepared(dealer, name):
    """Bring about what a call needs: a position, isolated margin, a number in use."""
    if name in ("change_margin", "close_position"):
        if name == "change_margin":
            await dealer.set_leverage(5, margin_mode="isolated")
        bought = await dealer.create_market_order(100)
        await dealer.wait_settled(bought["client_order_index"])
    if name == "change_margin":
        await dealer.change_margin(1000)
    if name == "wait_settled":
        for number in range(1, 51):
            await dealer.create_limit_order(3990, 0.1, client_order_index=number)
        await dealer.flush()


async def cleared(dealer, name):
    """Take away what an example left: the exchange counts live orders."""
    if dealer.dead_man is None and name != "wait_settled":
        await dealer.cancel_all_orders(everywhere=True)
    await asyncio.sleep(1)


def test_every_public_method_is_tried_here_or_has_a_reason_not_to_be():
    public = {
        name
        for name, _ in inspect.getmembers(LighterDealer, inspect.isroutine)
        if not name.startswith("_")
    }
    assert public == set(CALLS) | WITHOUT_ARGUMENTS | ELSEWHERE
    for name, arguments in CALLS.items():
        known = set(inspect.signature(getattr(LighterDealer, name)).parameters)
        assert known - {"self"} == set(arguments), name


@pytest.mark.parametrize("name", sorted(CALLS))
def test_any_argument_is_denied_by_name_or_accepted(desk, name):
    ledger = desk.exchange.ledger
    ends = []
    desk.loop.run_until_complete(prepared(desk.dealer, name))

    @hypothesis.given(arguments_of(name))
    @hypothesis.settings(
        max_examples=EXAMPLES,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    def judge(arguments):
        accepted = len(ledger.accepted())
        field = desk.loop.run_until_complete(tried(desk.dealer, name, arguments))
        codes = {refused.code for refused in ledger.refused()}
        assert codes <= {BELOW_INITIAL_MARGIN}
        ends.append(field)
        if field is not None:
            assert len(ledger.accepted()) == accepted, "denied, and sent all the same"
            assert field in NAMED.get(name, CALLS[name]), f"{field} is no argument"
        else:
            desk.loop.run_until_complete(cleared(desk.dealer, name))

    judge()
    assert None in ends, "nothing was ever accepted"
    assert set(ends) != {None}, "nothing was ever denied"


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_dry_run_shows_any_argument_and_sends_nothing(dry, name):
    @hypothesis.given(arguments_of(name))
    @hypothesis.settings(
        max_examples=EXAMPLES // 10,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    def judge(arguments):
        dry.loop.run_until_complete(tried(dry.dealer, name, arguments))
        assert not dry.exchange.ledger.accepted()
        assert not dry.exchange.ledger.refused()

    judge()


def test_the_cases_here_reach_both_ends(desk):
    async def both():
        good = await tried(
            desk.dealer, "create_limit_order", {"price": Decimal(3990), "size": 0.1}
        )
        bad = await tried(
            desk.dealer, "create_limit_order", {"price": Decimal("NaN"), "size": 0.1}
        )
        await asyncio.sleep(1)
        return good, bad

    assert desk.loop.run_until_complete(both()) == (None, "price")
