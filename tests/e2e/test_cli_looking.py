"""Commands that look: reconcile, explain, markets; and two that hand over."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest

from wrappy.lighter.config import NETWORKS, ApiKeyConfig
from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
from wrappy.protocol.intents import CreateOrder
from wrappy.runner.cli.app import main
from wrappy.runner.cli.columns import one_line, table
from wrappy.runner.cli.looking import public_config
from wrappy.runner.settings.sections import BotSettings, NetworkSection
from wrappy.signing.sdk import SdkSigner
from wrappy.venue import Venue

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MAY_TAKE_S = 30.0
AGREE = "journal and exchange agree"

STRATEGY = '''
"""Quotes far from the market and waits."""

from dataclasses import dataclass

from wrappy.runner.strategy.strategy import Strategy


@dataclass(frozen=True)
class Numbers:
    price: int = 1000


class Waiting(Strategy[Numbers]):
    async def run(self, ctx):
        dealer = ctx.dealer("ETH")
        placed = await dealer.create_limit_order(self.parameters.price, 0.05)
        await dealer.flush()
        print("placed", placed["client_order_index"], flush=True)
        while True:
            await ctx.sleep(60)
'''


@pytest.fixture
def at(tmp_path):
    """Return a function that writes settings for a bot at a venue."""

    def written(venue):
        (tmp_path / "waiting.py").write_text(STRATEGY)
        file = tmp_path / "bot.toml"
        file.write_text(
            f'[network]\nname = "venue"\nurl = "{venue.base_url}"\n'
            f'[engine]\nstate_dir = "{tmp_path / "state"}"\n'
            '[[strategies]]\nuse = "waiting.py:Waiting"\nsymbols = ["ETH"]\n'
        )
        return str(file)

    return written


@pytest.fixture
def told(capsys):
    """Return a function that runs a command: exit code, output, complaints."""

    async def ran(*arguments):
        code = await asyncio.to_thread(main, [str(word) for word in arguments])
        return code, *capsys.readouterr()

    return ran


@pytest.fixture
async def bots():
    """Return a function that starts `wrappy run` and waits for its first order."""
    started = []

    async def bot(*arguments):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wrappy.runner.cli.app", "run", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        while True:
            line = await asyncio.wait_for(process.stdout.readline(), MAY_TAKE_S)
            assert line, (await process.stderr.read()).decode()
            if line.startswith(b"placed"):
                return process, int(line.split()[1])

    yield bot
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def somebody(dealer, tmp_path):
    """Return a function that opens the account's other key, with own journals."""

    async def opened(venue):
        key = venue.accounts[0].api_keys[1]
        return await dealer(
            venue,
            api_keys=(ApiKeyConfig(key.api_key_index, key.api_key_private_key),),
            state_dir=str(tmp_path / "elsewhere"),
            unknown_orders="adopt",
        )

    return opened


def live_orders(venue):
    account = venue.exchange.accounts[venue.accounts[0].account_index]
    return {o.client_order_index: o for o in account.open_orders.values()}


def live_numbers(venue):
    return set(live_orders(venue))


# ---------------------------------------------------------------------- reconcile


async def test_a_killed_bot_is_reconciled_and_a_new_run_goes_on(
    quiet_venue, at, bots, told, somebody
):
    file = at(quiet_venue)
    first, number = await bots(file)
    code, out, _ = await told("reconcile", file)
    assert (code, "sends with key" in out) == (0, True)
    first.send_signal(signal.SIGKILL)
    await first.wait()

    # What it left is in its journal, so that nothing is to be put right.
    code, out, _ = await told("reconcile", file)
    assert (code, out) == (
        0,
        f"1 live order(s), 1 of them in the journal, 0 drift(s): {AGREE}\n",
    )

    # Meanwhile somebody else takes it away and leaves an order of his own.
    hand = await somebody(quiet_venue)
    await hand.cancel_all_orders()
    strange = (await hand.create_limit_order(900, 0.05))["client_order_index"]
    await hand.flush()
    await hand.aclose()
    assert live_numbers(quiet_venue) == {strange}

    code, out, _ = await told("reconcile", file)
    assert code == 1
    rows = [line.split() for line in out.splitlines()[1:3]]
    assert {(row[0], row[2]) for row in rows} == {
        ("gone", str(number)),
        ("stranger", str(strange)),
    }
    assert "canceled: canceled on request" in out
    assert "they disagree" in out

    code, _, err = await told("reconcile", file, "--fix")
    assert code == 1
    assert "--yes" in err
    code, out, _ = await told("reconcile", file, "--fix", "--yes")
    assert code == 0
    assert out.endswith(f"{AGREE}\n")
    assert live_numbers(quiet_venue) == set()

    second, again = await bots(file)
    assert live_numbers(quiet_venue) == {again}
    assert again != number
    code, _, err = await told("reconcile", file, "--fix", "--yes")
    assert (code, err) == (0, "")
    second.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(second.wait(), MAY_TAKE_S) == 0
    assert live_numbers(quiet_venue) == set()


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
async def test_a_person_is_asked_before_anything_is_put_right(
    quiet_venue, told, somebody, monkeypatch, *, answer, left
):
    hand = await somebody(quiet_venue)
    await hand.create_limit_order(900, 0.05)
    await hand.flush()
    typed = io.StringIO(f"{answer}\n")
    typed.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", typed)
    monkeypatch.setenv("LIGHTER_BASE_URL", quiet_venue.base_url)
    code, out, _ = await told("reconcile", "--fix")
    assert f"at {quiet_venue.base_url}: go on?" in out
    assert (code, len(live_numbers(quiet_venue))) == (left, left)
    assert "1 x stranger: each is cancelled" in out
    assert ("nothing was changed" in out) is bool(left)


async def test_nothing_is_put_right_under_a_running_bot(
    quiet_venue, at, bots, told, somebody
):
    file = at(quiet_venue)
    await bots(file)
    hand = await somebody(quiet_venue)
    await hand.create_limit_order(900, 0.05)
    await hand.flush()
    code, out, err = await told("reconcile", file, "--fix", "--yes")
    assert (code, "stranger" in out) == (1, True)
    assert "a bot runs" in err
    assert len(live_numbers(quiet_venue)) == 2


async def test_what_never_arrived_is_told_and_settled(
    quiet_venue, at, told, config_for, tmp_path
):
    file = at(quiet_venue)
    config = config_for(quiet_venue, state_dir=str(tmp_path / "state"))
    leave_unsent(config, number=77)
    code, out, _ = await told("reconcile", file)
    assert code == 1
    assert "unsettled  ETH        77" in out
    assert "not at the exchange; it could still arrive" in out
    code, out, _ = await told("explain", "77", file)
    assert code == 0
    assert "lists it nowhere" in out
    code, out, _ = await told("reconcile", file, "--fix", "--yes")
    assert (code, out.splitlines()[-1].endswith(AGREE)) == (0, True)
    assert live_numbers(quiet_venue) == set()


def leave_unsent(config, number):
    """Leave what a bot leaves that dies between its journal and the network."""
    key = config.api_keys[0]
    signer = SdkSigner(
        key.api_key_private_key,
        account_index=config.account_index,
        api_key_index=key.api_key_index,
        chain_id=config.chain_id,
    )
    order = CreateOrder(
        market_index=0,
        client_order_index=number,
        base_amount=500,
        price=100_000,
        is_ask=False,
        order_expiry=int(time.time() * 1000) + 3_600_000,
    )
    (tx,) = signer.sign_many([order], first_nonce=1)
    journal = Journal.open(
        Path(config.state_dir),
        base_url=config.base_url,
        account_index=config.account_index,
        api_key_index=key.api_key_index,
    )
    entry = JournalEntry(
        nonce=tx.nonce,
        tx_type=int(tx.tx_type),
        tx_hash=tx.tx_hash,
        tx_info=tx.tx_info,
        expired_at_ms=tx.expired_at_ms,
        market_index=0,
        client_order_index=number,
        group_indices=(),
        batch=1,
        stage=SendStage.SIGNED,
        written_ms=int(time.time() * 1000),
        intent=msgspec.json.encode(order).decode(),
    )
    journal.write([entry])
    journal.close()


async def test_an_exchange_that_is_started_here_cannot_be_reconciled(told):
    for command in (("reconcile",), ("explain", "7")):
        code, _, err = await told(*command)
        assert code == 2
        assert "--url" in err


# ------------------------------------------------------------------------ explain


@pytest.fixture
def traders(dealer, tmp_path):
    """Return a function that opens the bot's own dealer, and one of somebody else."""

    async def opened(venue):
        ours = await dealer(venue, state_dir=str(tmp_path / "state"))
        return ours, await dealer(venue, 1, state_dir=str(tmp_path / "theirs"))

    return opened


async def test_the_life_of_an_order_is_told(quiet_venue, at, told, traders, eventually):
    file = at(quiet_venue)
    trader, seller = await traders(quiet_venue)
    order = await trader.create_limit_order(3000, "0.05")
    await trader.flush()
    number = order["client_order_index"]
    await seller.create_market_order("-0.02", 2990)
    await eventually(lambda: live_orders(quiet_venue)[number].filled_base)
    await trader.update_order_by_coi(number, 2999, "0.04")
    await trader.flush()

    code, out, _ = await told("explain", number, file)
    assert code == 0
    assert "open, filled 0.0200" in out
    await trader.cancel_order_by_coi(number)
    await trader.flush()
    await trader.wait_settled(number)
    await trader.aclose()

    code, out, _ = await told("explain", number, file)
    assert code == 0
    head, _, *lines = out.splitlines()
    assert head.startswith(f"order {number} ETH: buy 0.0400 at 2999.00: canceled")
    assert "(canceled on request)" in head
    text = "\n".join(lines)
    for words in (
        "create: buy 0.0500 ETH at 3000.00 (limit, good till time)",
        "bought 0.0200 at 3000.00 as maker, fee 0.0024 USDC",
        "modify: 0.0400 ETH in all at 2999.00",
        "journal   cancel; key",
        "executed",
    ):
        assert words in text

    code, out, _ = await told("explain", number, file, "--json")
    life = json.loads(out)
    assert (code, life["client_order_index"], life["symbol"]) == (0, number, "ETH")
    times = [event["at_ms"] for event in life["events"]]
    assert times == sorted(times)


async def test_an_order_that_was_refused_is_told_with_the_reason(
    quiet_venue, at, told, dealer, tmp_path
):
    file = at(quiet_venue)
    seller = await dealer(quiet_venue, 1, state_dir=str(tmp_path / "seller"))
    await seller.create_limit_order(3000, "-0.05")
    await seller.flush()
    trader = await dealer(quiet_venue, state_dir=str(tmp_path / "state"))
    order = await trader.create_limit_order(3001, "0.05", post_only=True)
    await trader.flush()
    code, out, _ = await told("explain", order["client_order_index"], file)
    assert code == 0
    assert "post-only, but it would have traded at once" in out


async def test_orders_of_a_group_and_cancel_all_are_told(
    quiet_venue, at, told, dealer, tmp_path
):
    file = at(quiet_venue)
    trader = await dealer(quiet_venue, state_dir=str(tmp_path / "state"))
    order = await trader.create_limit_order(1000, "0.05")
    await trader.flush()
    await trader.cancel_all_orders()
    await trader.aclose()
    _, out, _ = await told("explain", order["client_order_index"], file)
    assert "cancel all orders" in out


async def test_an_order_that_nobody_knows_is_told(quiet_venue, at, told):
    file = at(quiet_venue)
    code, out, err = await told("explain", "77", file)
    assert (code, out) == (1, "")
    assert "order 77" in err
    code, _, err = await told("explain", "0", file)
    assert (code, "outside 1.." in err) == (2, True)


async def test_on_paper_there_is_no_account_to_look_at(told, tmp_path):
    file = tmp_path / "paper.toml"
    file.write_text('[network]\nname = "paper"\n')
    code, _, err = await told("explain", "7", file)
    assert (code, "on paper" in err) == (2, True)


# ------------------------------------------------------------------------ markets


async def test_markets_are_listed(told):
    async with Venue(seed=1, flow="none", symbols=("ETH", "BTC", "ETH/USDC")) as venue:
        code, out, _ = await told("markets", "--url", venue.base_url)
        assert code == 0
        head, *rows = out.splitlines()
        assert head.split()[:3] == ["symbol", "index", "type"]
        assert {row.split()[0] for row in rows} == {"ETH", "BTC", "ETH/USDC"}
        code, out, _ = await told("markets", "btc", "--url", venue.base_url, "--json")
        (row,) = json.loads(out)
        assert (row["symbol"], row["index"], row["tick"]) == ("BTC", 1, "0.1")
        assert (row["lot"], row["status"]) == ("0.00001", "active")
        code, _, err = await told("markets", "doge", "--url", venue.base_url)
        assert (code, "'doge'" in err) == (1, True)


async def test_without_an_address_an_exchange_of_its_own_is_listed(told):
    code, out, _ = await told("markets")
    assert code == 0
    assert out.splitlines()[1].startswith("ETH ")


async def test_markets_of_a_network_need_no_key(quiet_venue, told, monkeypatch):
    monkeypatch.setitem(NETWORKS, "testnet", quiet_venue.base_url)
    code, out, _ = await told("markets", "--network", "testnet")
    assert (code, "ETH" in out) == (0, True)


def test_on_paper_the_market_is_mainnets_unless_an_address_is_given():
    paper = BotSettings().on("paper")
    assert public_config(paper).base_url == NETWORKS["mainnet"]
    network = NetworkSection(name="paper", url="http://127.0.0.1:1")
    assert public_config(BotSettings(network=network)).base_url == network.url


# ----------------------------------------------------------------------- hand-over


async def test_venue_and_record_read_their_own_arguments(told, capsys):
    code, out, _ = await told("venue", "--seed", "7", "--print-settings")
    assert (code, "seed = 7" in out) == (0, True)
    for command, words in (("venue", "--tape"), ("record", "--live-data")):
        with pytest.raises(SystemExit) as ended:
            await told(command, "--help")
        assert ended.value.code == 0
        assert words in capsys.readouterr().out


async def test_a_market_is_recorded(tmp_path):
    tape = tmp_path / "tape.jsonl"
    async with Venue(seed=1) as venue:
        recorder = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wrappy.runner.cli.app", "record"),
            *(venue.base_url, "--symbols", "ETH"),
            *("--out", str(tape), "--seconds", "1"),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert await asyncio.wait_for(recorder.wait(), MAY_TAKE_S) == 0
    assert tape.stat().st_size > 0


# -------------------------------------------------------------------------- tables


def test_columns_line_up_and_numbers_stand_right():
    text = table(("name", "n"), [("a", "5"), ("longer", "12.5")])
    assert text == "name       n\na          5\nlonger  12.5"
    assert table(("a", "b"), []) == "a  b"


def test_words_of_others_move_no_cursor():
    assert one_line("a\x1b[2Jb\nc") == "a [2Jb c"
