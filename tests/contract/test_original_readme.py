"""The code blocks of the original README run as they stand.

They are read from the reference folder beside the checkout; only address and
credentials come from the environment, as the README itself proposes.
"""

from __future__ import annotations

import ast
import asyncio
import os
import pathlib
import re
import sys
import types

import pytest

from wrappy import DealerConfig, LighterDealer
from wrappy.lighter.ws import WsInfo
from wrappy.venue import Venue

README = (
    pathlib.Path(__file__).resolve().parents[3]
    / "shared"
    / "seeds"
    / "002_906b573e59f330e8.txt"
)
pytestmark = pytest.mark.skipif(
    not README.exists(), reason="the reference folder is not beside this checkout"
)


def section(number: str, language: str) -> str:
    """Return the first code block of a language under a numbered heading."""
    text = README.read_text(encoding="utf-8")
    heading = re.search(rf"^#+ {re.escape(number)}[) ].*$", text, re.MULTILINE)
    assert heading, f"no section {number}"
    block = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    found = block.search(text, heading.end())
    assert found, f"no {language} block in section {number}"
    return found[1]


async def run_block(code: str, namespace: dict[str, object]) -> None:
    compiled = compile(
        code, "README", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    outcome = types.FunctionType(compiled, namespace)()
    if outcome is not None:
        await outcome


@pytest.fixture
async def venue():
    async with Venue(seed=1) as venue:
        yield venue


@pytest.fixture
def environment(venue, monkeypatch, tmp_path):
    """That README's own config file, and the credentials in the environment."""
    account = venue.accounts[0]
    key = account.api_keys[0]
    for name, value in {
        "LIGHTER_BASE_URL": venue.base_url,
        "LIGHTER_ACCOUNT_INDEX": str(account.account_index),
        "LIGHTER_API_KEY_INDEX": str(key.api_key_index),
        "LIGHTER_API_KEY": key.api_key_private_key,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    config = tmp_path / "config.json"
    config.write_text(section("4.1", "jsonc"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return account, key


@pytest.fixture
async def pair(environment):
    account, key = environment
    ws = await WsInfo.run_overlay(
        account.account_index, key.api_key_index, key.api_key_private_key, symbol="ETH"
    )
    async with ws, await LighterDealer.from_config(symbol="ETH") as dealer:
        ws.on_orders = dealer.feed_ws_orders
        yield dealer, ws


def refusals(venue) -> list[object]:
    return list(venue.ledger.refused())


async def run_script(code: str, folder: pathlib.Path) -> str:
    script = folder / "block.py"
    script.write_text(code, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(script),
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    assert err == b""
    return out.decode()


async def test_4_2_the_quick_start_places_updates_and_cancels(
    venue, environment, tmp_path
):
    account, _ = environment
    await run_script(section("4.2", "python"), tmp_path)
    (order,) = venue.ledger.orders(account=account.account_index)
    assert order.status == "canceled"
    assert (order.price, order.initial_base) == (299999, 60)
    assert [tx.nonce for tx in venue.ledger.accepted(account.account_index)] == [
        1,
        2,
        3,
    ]
    assert refusals(venue) == []


async def test_6_public_trades_give_a_last_traded_price(venue, environment, tmp_path):
    printed = await run_script(section("6", "python"), tmp_path)
    ltp = re.search(r"LTP: (\S+)", printed)
    assert ltp
    assert 3000 < float(ltp[1]) < 3200
    assert "trade_id" in printed


async def test_10_1_cancels_and_creates_in_one_batch(venue, pair, environment, capsys):
    dealer, ws = pair
    first = await dealer.create_limit_order(price=3000.0, size=+0.005)
    second = await dealer.create_limit_order(price=3001.0, size=+0.005)
    await dealer.flush()
    coi1, coi2 = first["client_order_index"], second["client_order_index"]
    namespace = {"dealer": dealer, "coi1": coi1, "coi2": coi2}
    await run_block(section("10.1", "python"), namespace)
    result = namespace["result"]
    assert result["batches"] == 1
    # The market stands near 3,100: the bid trades at once, the offer rests.
    told = [await ws.wait_order_by_coi(coi, timeout=5.0) for coi in result["created"]]
    assert [order["status"] for order in told] == ["filled", "open"]
    gone = {o.client_order_index: o.status for o in venue.ledger.orders()}
    assert gone[coi1] == gone[coi2] == "canceled"
    assert str(result["created"][0]) in capsys.readouterr().out


async def test_10_2_the_batch_context_sends_at_its_end(venue, pair, environment):
    dealer, ws = pair
    account, _ = environment
    await run_block(section("10.2", "python"), {"dealer": dealer})
    accepted = venue.ledger.accepted(account.account_index)
    assert [tx.info["Price"] for tx in accepted] == [300100, 299800]
    for tx in accepted:
        order = await ws.wait_order_by_coi(tx.info["ClientOrderIndex"], timeout=5.0)
        assert order is not None
    assert refusals(venue) == []


async def test_10_3_waits_updates_and_cancels(venue, pair, environment):
    dealer, ws = pair
    placed = await dealer.create_limit_order(price=3000.0, size=+0.005)
    await dealer.flush()
    namespace = {"dealer": dealer, "ws": ws, "coi": placed["client_order_index"]}
    await run_block(section("10.3", "python"), namespace)
    assert namespace["o"]["status"] == "open"
    (order,) = venue.ledger.orders()
    assert (order.price, order.initial_base, order.status) == (300200, 40, "canceled")
    assert refusals(venue) == []


async def test_10_4_three_bots_share_one_key_without_a_nonce_error(venue, environment):
    account, key = environment
    opened: list[LighterDealer | WsInfo] = []

    class KeptDealer(LighterDealer):
        @classmethod
        async def create(cls, config: DealerConfig, **kwargs):
            dealer = await super().create(config, **kwargs)
            opened.append(dealer)
            return dealer

    class KeptWs(WsInfo):
        @classmethod
        async def run_overlay(cls, *args, **kwargs):
            overlay = await super().run_overlay(*args, **kwargs)
            opened.append(overlay)
            return overlay

    namespace = {
        "LighterDealer": KeptDealer,
        "WsInfo": KeptWs,
        "ACC": account.account_index,
        "KI": key.api_key_index,
        "KEY": key.api_key_private_key,
    }
    try:
        await run_block(section("10.4", "python"), namespace)
        dealers = [one for one in opened if isinstance(one, LighterDealer)]
        overlays = [one for one in opened if isinstance(one, WsInfo)]
        assert [d.market.symbol for d in dealers] == ["ETH", "BTC", "SOL"]
        prices = {"ETH": 3000, "BTC": 60000, "SOL": 140}

        async def trade(dealer: LighterDealer, overlay: WsInfo) -> None:
            symbol = dealer.market.symbol
            for _ in range(2):
                placed = await dealer.create_limit_order(prices[symbol], 1)
                await dealer.flush()
                coi = placed["client_order_index"]
                order = await overlay.wait_order_by_coi(coi, timeout=5.0)
                assert order["status"] == "open"

        await asyncio.gather(*map(trade, dealers, overlays))
    finally:
        for one in opened:
            await one.aclose()
    nonces = [tx.nonce for tx in venue.ledger.accepted(account.account_index)]
    assert nonces == list(range(1, 7))
    assert refusals(venue) == []
