"""A saved input log gives the same ledger once more, whatever was put in."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy.errors import ConfigError
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, SteppedClock, Venue, VenueSettings
from wrappy.venue.__main__ import main
from wrappy.venue.events import (
    Announced,
    FaultFired,
    FundingPaid,
    Liquidated,
    SetIndexPrice,
    SetLevel,
    TxRefused,
)
from wrappy.venue.exchange import Refused
from wrappy.venue.ledger import canonical_text
from wrappy.venue.replay import replay

START_S = 1_800_000_000


def order(venue, account, *, market=0, is_ask=0, ticks=0, kind=1, lots=50, ahead=0):
    exchange = venue.exchange
    state = exchange.markets[market]
    key = exchange.accounts[account].api_keys[4]
    now_ms = START_S * 1_000 + 10**7
    return {
        "AccountIndex": account,
        "ApiKeyIndex": 4,
        "ExpiredAt": now_ms,
        "Nonce": key.nonce + ahead,
        "Sig": "",
        "L2TxAttributes": None,
        "MarketIndex": state.index,
        "ClientOrderIndex": 0,
        "BaseAmount": state.market.min_base_amount * lots,
        "Price": max(1, state.mark_price + ticks),
        "IsAsk": is_ask,
        "Type": 0,
        "TimeInForce": kind,
        "ReduceOnly": 0,
        "TriggerPrice": 0,
        "OrderExpiry": 0 if kind == 0 else now_ms + 10**9,
    }


SIDES = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("advance"), st.sampled_from([0.001, 0.05, 0.5, 3.0, 61.0])),
    st.tuples(
        st.just("order"), SIDES, SIDES, SIDES, st.integers(-300, 300), st.integers(0, 2)
    ),
    st.tuples(st.just("batch"), SIDES, st.integers(0, 4), st.integers(0, 1)),
    st.tuples(st.just("nonsense"), st.sampled_from(["{", "{}", '{"AccountIndex":1}'])),
    st.tuples(st.just("fault"), st.sampled_from(["silent_drop", "bump_nonce", "skew"])),
    st.tuples(st.just("announce"), SIDES),
)


async def perform(venue, owners, step):
    kind, *what = step
    if kind == "advance":
        await venue.advance(*what)
    elif kind == "order":
        owner, market, is_ask, ticks, time_in_force = what
        told = order(
            venue,
            owners[owner],
            market=market,
            is_ask=is_ask,
            ticks=ticks,
            kind=time_in_force,
        )
        await venue._floor.send(14, json.dumps(told))
    elif kind == "batch":
        owner, count, gap = what
        infos = [
            json.dumps(order(venue, owners[owner], ticks=-50 * n, ahead=n + gap * n))
            for n in range(count)
        ]
        await venue._floor.send_batch([14] * count, infos)
    elif kind == "nonsense":
        await venue._floor.send(14, *what)
    elif kind == "announce":
        venue.announce(owners[what[0]], "announcement", {"text": "é\n", "n": 1.5})
    elif kind == "fault":
        rule = FaultRule(act=what[0], phase="after_accept", times=1, skew_ms=40)
        venue.faults.add(rule)
        venue.answers._sabotage.accepted(
            "rest",
            "/api/v1/sendTx",
            [record.tx_hash for record in venue.ledger.accepted()[-1:]],
        )


async def run(path, steps, **changed):
    chosen = VenueSettings(seed=5, symbols=("ETH", "BTC"), verify=False, **changed)
    clock = SteppedClock(START_S)
    async with Venue(settings=chosen, clock=clock, save_log=path) as venue:
        owners = [account.account_index for account in venue.accounts]
        for step in steps:
            with contextlib.suppress(Refused):
                await perform(venue, owners, step)
    return venue


EVERYTHING = [
    ("advance", 0.5),
    ("order", 0, 0, 0, -40, 1),
    ("order", 1, 0, 1, -400, 0),
    ("fault", "silent_drop"),
    ("order", 0, 1, 0, 300, 1),
    ("batch", 0, 3, 0),
    ("batch", 1, 3, 1),
    ("advance", 3.0),
    ("fault", "bump_nonce"),
    ("order", 0, 0, 1, 90, 2),
    ("nonsense", "{"),
    ("announce", 1),
    ("fault", "skew"),
    ("advance", 61.0),
]


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=25), st.sampled_from(["synthetic", "none"]))
def test_any_run_gives_the_same_ledger_once_more(tmp_path_factory, steps, flow):
    path = tmp_path_factory.getbasetemp() / "run.jsonl"
    venue = asyncio.run(run(path, steps, flow=flow))
    done = replay(path)
    assert done.hash == venue.ledger.hash() == done.saved_hash
    assert done.is_same
    assert done.exchange.height == venue.exchange.height


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
async def test_every_kind_of_input_is_saved(tmp_path, name):
    path = tmp_path / name
    venue = await run(path, EVERYTHING)
    for kind in (FaultFired, Announced, TxRefused):
        assert venue.ledger.of(kind)
    assert venue.ledger.trades()
    done = replay(path)
    assert done.is_same
    texts = [canonical_text(event) for event in venue.ledger.events]
    assert [canonical_text(event) for event in done.exchange.log.events] == texts
    text = gzip.decompress(path.read_bytes()) if name.endswith("gz") else None
    lines = (text or path.read_bytes()).decode().splitlines()
    assert {json.loads(line)[0] for line in lines} == {
        *("venue", "flow", "tx", "batch", "until", "note", "skip", "withhold", "end")
    }


async def test_the_command_compares_the_two_ledgers(tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    venue = await run(path, EVERYTHING)
    assert main(["replay", str(path)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == venue.ledger.hash()
    assert "the same ledger" in shown

    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith('["note"')]
    path.write_text("".join(kept))
    assert main(["replay", str(path)]) == 1
    assert "ANOTHER LEDGER" in capsys.readouterr().out

    path.write_text("".join(lines[:-1]) + lines[-1][:9])
    assert main(["replay", str(path)]) == 0
    assert "the log has no end" in capsys.readouterr().out


async def test_a_packed_log_of_a_killed_exchange_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "run.jsonl.gz"
    await run(path, EVERYTHING)
    path.write_bytes(path.read_bytes()[:-400])
    done = replay(path)
    assert done.is_same is None
    assert done.inputs


FIRST = '["venue",{"format":1,"now_us":1,"verify":false}]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("x\n", "line 1: "),
        ("{}\n", "line 1: is no JSON list"),
        ("[]\n", "line 1: is no JSON list"),
        ('["venue",{"format":2}]\n', "line 1: ConfigError: is no log of format 1"),
        ('["tx",{"format":1}]\n', "is no log of format 1"),
        ('["venue",{"format":1}]\n', "line 1: KeyError"),
        ('["venue",{"format":1,"now_us":1,"sed":1}]\n', "sed: no such setting"),
        (FIRST + '["dance"]\n', "line 2: ConfigError: 'dance' is no input"),
        (FIRST + '["tx",1]\n', "line 2: TypeError"),
        (FIRST + '["flow",1,[["jump"]]]\n', "line 2: KeyError"),
        (FIRST + '["note","Exchange",{}]\n', "line 2: KeyError"),
        (FIRST + '["end"]\n', "line 2: IndexError"),
        (FIRST + "\xe9\n", "line 2: "),
    ],
)
def test_what_is_no_log_is_refused_with_its_line(tmp_path, capsys, text, words):
    path = tmp_path / "run.jsonl"
    path.write_text(text, encoding="latin-1")
    assert main(["replay", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert str(path) in line


def test_a_log_that_cannot_be_read_or_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nothing cannot be read: No such file"):
        replay(tmp_path / "nothing")
    (tmp_path / "no.gz").write_text("plain")
    with pytest.raises(ConfigError, match=r"no.gz cannot be read"):
        replay(tmp_path / "no.gz")
    with pytest.raises(ConfigError, match=r"save_log: .* cannot be written: No such"):
        Venue(save_log=tmp_path / "no" / "folder")


def test_a_log_tells_the_tape_by_what_it_played(tmp_path):
    async def life():
        return await run(tmp_path / "a.jsonl", [("advance", 3.0)])

    run_virtual(life)
    assert '"tape"' not in (tmp_path / "a.jsonl").read_text().splitlines()[0]
    assert replay(tmp_path / "a.jsonl").is_same


async def test_funding_and_liquidation_come_out_the_same(tmp_path):
    path = tmp_path / "run.jsonl"
    chosen = VenueSettings(
        symbols=("ETH",),
        verify=False,
        flow="none",
        collateral=200_000_000,
        price_bands="off",
    )
    start_us = START_S * 1_000_000
    clock = SteppedClock(START_S)
    async with Venue(settings=chosen, clock=clock, save_log=path) as venue:
        owner = venue.accounts[0].account_index
        exchange = venue.exchange
        opening = [SetIndexPrice(0, 300_000), SetLevel(0, False, 299_990, 50_000)]
        exchange.apply_flow(opening, now_us=start_us)
        exchange.apply_flow([SetLevel(0, True, 300_010, 50_000)], now_us=start_us)
        told = order(venue, owner, kind=0, lots=1, ticks=1_000)
        told["BaseAmount"] = 10_000
        await venue._floor.send(14, json.dumps(told))
        await venue.advance(2 * 3_600.0)
        now_us = start_us + 2 * 3_600 * 1_000_000
        fallen = [SetLevel(0, False, 299_990, 0), SetIndexPrice(0, 270_000)]
        exchange.apply_flow(fallen, now_us=now_us)
        lower = [SetLevel(0, True, 300_010, 0), SetLevel(0, True, 270_010, 50_000)]
        exchange.apply_flow(
            [*lower, SetLevel(0, False, 269_990, 50_000)], now_us=now_us
        )
        await venue.advance(3_600.0)
        assert venue.ledger.of(FundingPaid)
        assert venue.ledger.of(Liquidated)
    assert replay(path).is_same
