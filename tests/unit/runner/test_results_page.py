"""Reports: whole in one file, open to nobody, and right in what they show."""

from __future__ import annotations

import dataclasses
import html
import importlib
import json
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from wrappy.errors import ConfigError
from wrappy.model import Candle, Side
from wrappy.runner.backtest import BacktestSettings
from wrappy.runner.charts import write_charts, write_heat_map
from wrappy.runner.performance import Fill, TrialFigures, no_trade
from wrappy.runner.results_page import (
    MarketTape,
    Variant,
    fill_model_settings,
    fill_model_variants,
    results_page,
    sweep_page,
    write_results_page,
    write_sweep_page,
)
from wrappy.runner.results_page.plotly_script import drawing_script
from wrappy.runner.results_page.series import (
    candle_series,
    equity_series,
    fill_price,
    mark_series,
)
from wrappy.runner.sweep import (
    Range,
    Space,
    ThisProcess,
    Window,
    heat_map,
    sweep,
    walk_forward,
)
from wrappy.venue.bundled import market_named

pytest.importorskip("plotly", reason="plotly is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sample = importlib.import_module("sweep_sample")
sys.path.remove(str(HERE))

ETH = market_named("ETH")
NASTY = '</script><b onclick="x">&'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def candles(count, begin_ms=sample.BEGIN_MS, length_ms=3_600_000):
    return [
        Candle(
            begin_ms + at * length_ms,
            *(Decimal(2_000 + at + part) for part in (0, 5, -5, 1)),
            Decimal(1),
            Decimal(2_000),
            at,
            closed=True,
        )
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def results():
    found = sample.made_up(sample.Parameters())
    about = dataclasses.replace(
        found.about,
        parameters={"fast": 5, "note": NASTY, "none": None},
        models={"fills": "goes through"},
        data=("ETH 1h: one gap of 3 candles",),
        seed=7,
        ledger_hash="abc",
    )
    baseline = no_trade(
        start_ms=found.start_ms, end_ms=found.end_ms, capital=10_000_000_000
    )
    return dataclasses.replace(found, about=about, baselines=(baseline,))


@pytest.fixture(scope="module")
def tape():
    fills = [
        Fill(
            at_ms=sample.BEGIN_MS + at * 86_400_000,
            market_id=ETH.market_id,
            side=Side.BUY if at % 2 else Side.SELL,
            size=1_000 + at,
            quote=(1_000 + at) * 200_000,
            fee=28_000,
        )
        for at in range(10)
    ]
    return MarketTape(market=ETH, candles=candles(1_440), fills=fills)


@pytest.fixture(scope="module")
def swept():
    space = Space(sample.Parameters, {"fast": [4, 8, 25], "slow": Range(20, 40, 10)})
    return sweep(sample.plain, space, executor=ThisProcess())


def told_in(page):
    found = re.search(r'<script type="application/json" id="told">(.*?)</script>', page)
    return json.loads(found[1])


def own_text(page):
    """Return the page without its scripts and its style."""
    return re.sub(r"<(script|style)[ >].*?</\1>", "", page, flags=re.DOTALL)


def test_a_report_carries_everything_and_may_load_nothing(results, tape):
    page = results_page(results, tapes=[tape])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert not re.search(r'(?:src|href)="(?!data:)', own_text(page))
    assert "Plotly" in page


def test_text_of_others_stays_text(results):
    page = results_page(results)
    assert "<b onclick" not in page
    assert html.escape(NASTY) in own_text(page)
    named = dataclasses.replace(
        results, about=dataclasses.replace(results.about, strategy=NASTY)
    )
    assert "<b onclick" not in results_page(named)


def test_a_report_shows_figures_with_formulas_baselines_and_what_to_mind(results):
    text = own_text(results_page(results))
    for words in (
        "mean(r) / std(r, n-1) * sqrt(365), interest 0",
        "no trade",
        "one gap of 3 candles",
        "Number of trials: not told",
        "the test on shortened data was not run",
        "seed 7, ledger abc",
        "goes through",
    ):
        assert words in text
    for warning in results.warnings:
        assert html.escape(warning) in text


def test_a_report_says_out_of_how_many_it_was_picked_and_what_looks_ahead(results):
    luck = TrialFigures(trials=40, expected_best=2.5, deflated_sharpe=0.3)
    picked = dataclasses.replace(results, trials=luck)
    text = own_text(results_page(picked, look_ahead="failed"))
    assert "Best of 40 trials" in text
    assert "every figure here is void" in text
    alone = dataclasses.replace(luck, trials=1)
    text = own_text(results_page(dataclasses.replace(results, trials=alone)))
    assert "Best of" not in text
    assert "not told" not in text


def test_every_closed_trade_is_in_the_table_with_its_profit(results, tape):
    (grid,) = told_in(results_page(results, tapes=[tape]))["grids"]
    names = [name for name, _, _ in grid["columns"]]
    assert len(grid["rows"]) == len(results.round_trips) == results.trades.closed
    at = names.index("profit")
    assert sum(row[at] for row in grid["rows"]) == pytest.approx(
        sum(trip.pnl for trip in results.round_trips) / 1e6
    )
    assert {row[names.index("market")] for row in grid["rows"]} == {"ETH"}


def test_charts_show_equity_drawdown_and_every_fill(results, tape):
    charts = told_in(results_page(results, tapes=[tape]))["charts"]
    assert [one["place"] for one in charts] == ["equity", f"price-{ETH.market_id}"]
    equity = {trace.get("name"): trace for trace in charts[0]["traces"]}
    assert equity["equity"]["y"][-1] == pytest.approx(float(results.end_capital))
    assert min(equity["drawdown"]["y"]) == pytest.approx(
        100 * results.drawdown.deepest, abs=0.01
    )
    price = {trace.get("name"): trace for trace in charts[1]["traces"]}
    assert len(price["bought"]["x"]) == len(price["sold"]["x"]) == 5
    assert price["bought"]["text"][0].startswith("bought 0.1001 at 2000.00")


def test_a_report_without_curve_or_trades_is_a_report(results):
    bare = dataclasses.replace(results, curve=(), round_trips=())
    page = results_page(bare)
    assert told_in(page) == {"charts": [], "grids": []}
    nothing = dataclasses.replace(bare, about=type(bare.about)(), baselines=())
    text = own_text(results_page(nothing))
    assert "It has none." in text
    assert "Nothing was told." in text


def test_fill_models_stand_beside_each_other(results, tmp_path):
    settings = BacktestSettings()
    ran = []

    def run(other):
        ran.append(other)
        return results

    variants = fill_model_variants(run, settings)
    # Through only is what is assumed anyway.
    assert len(fill_model_settings(settings)) == 4
    assert len(variants) == len(ran) == 3
    assert settings not in ran
    assert any(one.fill_on_touch for one in ran)
    path = write_results_page(tmp_path / "r.html", results, sensitivity=variants)
    text = own_text(path.read_text())
    assert "a touch fills" in text
    assert "+0.00" in text


def test_a_fill_model_that_crashed_is_no_result_to_compare(results):
    words = "the strategy crashed: ValueError('<b>')"
    crashed = dataclasses.replace(results, warnings=(*results.warnings, words))
    variant = Variant(name="latency x5", results=crashed)
    text = own_text(results_page(results, sensitivity=[variant]))
    (row,) = re.findall(r"<tr><td>latency x5</td>(.*?)</tr>", text)
    assert ">crashed</abbr>" in row
    assert html.escape(words) in row
    assert "%" not in row


def test_what_holding_came_to_waits_in_the_legend_where_it_would_flatten_the_equity(
    results, tape
):
    def shown(candles):
        other = dataclasses.replace(tape, candles=candles)
        traces = told_in(results_page(results, tapes=[other]))["charts"][0]["traces"]
        (held,) = [one for one in traces if one.get("name", "").startswith("had")]
        return held["visible"]

    level = [dataclasses.replace(one, close=one.open) for one in tape.candles]
    level = [dataclasses.replace(one, close=tape.candles[0].open) for one in level]
    wild = [*level[:-1], dataclasses.replace(level[-1], close=Decimal(90_000))]
    assert shown(level) is True
    assert shown(wild) == "legendonly"


def test_many_fills_are_drawn_smaller(results, tape):
    def size(fills):
        other = dataclasses.replace(tape, fills=fills)
        traces = told_in(results_page(results, tapes=[other]))["charts"][1]["traces"]
        (bought,) = [one for one in traces if one.get("name") == "bought"]
        return bought["marker"]["size"]

    assert size(list(tape.fills)) > size(list(tape.fills) * 100)


def test_joined_candles_keep_open_high_low_and_close():
    rows = candles(1_000)
    told = candle_series(rows, most=300)
    assert told.joined == 4
    assert len(told.at_ms) == 250
    assert told.open[0] == 2_000
    assert told.high[0] == max(float(one.high) for one in rows[:4])
    assert told.low[-1] == min(float(one.low) for one in rows[-4:])
    assert told.close[-1] == float(rows[-1].close)
    assert candle_series([]).at_ms == []


def test_of_too_many_fills_the_largest_are_drawn(tape):
    told = mark_series(tape, Side.BUY, most=2)
    assert told.left_out == 3
    assert [words.split()[1] for words in told.words] == ["0.1007", "0.1009"]
    assert fill_price(tape.fills[0], ETH) == 2_000


def test_a_drawn_drawdown_is_never_above_zero_and_ends_with_debts(results):
    told = equity_series(results)
    assert max(told.drawdown) <= 0
    assert equity_series(dataclasses.replace(results, curve=())).at_ms == []


def test_a_sweep_report_has_the_best_the_luck_the_map_and_every_trial(swept, tmp_path):
    day, begin = sample.DAY_MS, sample.BEGIN_MS
    space = Space(sample.Parameters, {"fast": [4, 8]})
    walked = walk_forward(
        sample.Counted(str(tmp_path)), space,
        [Window(begin, begin + 40 * day, begin + 60 * day)], executor=ThisProcess(),
    )  # fmt: skip
    path = write_sweep_page(tmp_path / "s.html", swept, walked=walked)
    page = path.read_text()
    told = told_in(page)
    assert [one["place"] for one in told["charts"]] == ["heat"]
    (grid,) = told["grids"]
    assert len(grid["rows"]) == 9
    assert [row[0] for row in grid["rows"]] == [*range(1, 9), None]
    assert "fast has to be below slow" in grid["rows"][-1][-1]
    text = own_text(page)
    for words in ("best without skill", "out of sample", "number of trials"):
        assert words in text


def test_a_sweep_without_a_best_is_a_report_as_well():
    space = Space(sample.Parameters, {"side": ["a", "b"]}, fixed={"fast": 30})
    failed = sweep(sample.plain, space, executor=ThisProcess(), objective="costs.fees")
    page = sweep_page(failed)
    assert "No trial has a costs.fees" in page
    assert told_in(page)["charts"] == []


def test_charts_are_written_as_png(results, tape, swept, tmp_path):
    written = write_charts(results, tmp_path / "new", tapes=[tape])
    assert [one.name for one in written] == [
        "equity.png",
        "trades.png",
        "price-ETH.png",
    ]
    written.append(write_heat_map(heat_map(swept), tmp_path / "heat.png"))
    for one in written:
        assert one.read_bytes().startswith(b"\x89PNG")
        assert one.stat().st_size > 5_000
    with pytest.raises(ConfigError, match="no curve to draw"):
        write_charts(dataclasses.replace(results, curve=()), tmp_path)


@pytest.mark.parametrize(
    ("module", "words"),
    [("plotly.offline", "plotly"), ("matplotlib.figure", "matplotlib")],
)
def test_a_missing_extra_is_named(results, tmp_path, monkeypatch, module, words):
    monkeypatch.setitem(sys.modules, module, None)
    drawing_script.cache_clear()
    write = write_results_page if words == "plotly" else write_charts
    with pytest.raises(ConfigError, match=rf"{words} is not installed; .*\[report\]"):
        write(*((tmp_path, results) if words == "plotly" else (results, tmp_path)))


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1_280, 500])
def test_a_browser_draws_it_without_a_complaint(results, tape, tmp_path, width):
    path = write_results_page(tmp_path / "r.html", results, tapes=[tape])
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000",
            "--virtual-time-budget=8000", "--enable-logging=stderr", "--dump-dom",
            path.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=90,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    body = done.stdout.rpartition("<footer>")[0]
    assert body.count('class="main-svg"') >= 2
    assert "1 to 25 of 30" in body
    assert 'aria-sort="ascending"' in body


def test_variants_are_plain_values(results):
    assert Variant(name="x", results=results) == Variant(name="x", results=results)
