"""What made-up markets are like, said in a file."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError
from wrappy.venue import SteppedClock, VenueSettings
from wrappy.venue.engine import Engine
from wrappy.venue.flow_settings import FlowSettings, flow_of
from wrappy.venue.settings_file import (
    read_settings,
    settings_from,
    settings_table,
    settings_text,
)

FILE = """
symbols = ["ETH", "BTC"]

[flow]
kind = "synthetic"
process = "gbm"
clustering = 0.5

[flow.ETH]
process = "ou"
start_price = "2500.50"
seed = 9
"""


def read(folder, text):
    file = folder / "venue.toml"
    file.write_text(text, encoding="utf-8")
    return read_settings(file)


def test_a_market_takes_from_the_table_of_all_what_its_own_does_not_say(tmp_path):
    found = read(tmp_path, FILE)
    assert found.flow == "synthetic"
    eth, btc = (flow_of(symbol, found.synthetic) for symbol in ("ETH", "BTC"))
    assert (eth.process, eth.clustering, eth.seed) == ("ou", 0.5, 9)
    assert eth.start_price == Decimal("2500.50")
    assert (btc.process, btc.clustering, btc.seed) == ("gbm", 0.5, None)


def test_a_table_of_one_market_leaves_the_others_as_they_are(tmp_path):
    found = read(tmp_path, "[flow.eth]\nstart_price = 2500\n")
    assert flow_of("ETH", found.synthetic).start_price == 2_500
    assert flow_of("BTC", found.synthetic) == FlowSettings()
    assert found.flow == "synthetic"


def test_what_is_written_is_read_back(tmp_path):
    found = read(tmp_path, FILE)
    assert read(tmp_path, settings_text(found)) == found
    assert settings_from(json.loads(json.dumps(settings_table(found)))) == found
    one = VenueSettings(synthetic=(FlowSettings(symbol="BTC", volatility=1.0),))
    assert read(tmp_path, settings_text(one)) == one


def test_a_flow_can_still_be_one_word(tmp_path):
    assert read(tmp_path, 'flow = "none"').flow == "none"
    assert read(tmp_path, '[flow]\nkind = "none"').flow == "none"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[flow]\nvolatilty = 1", "flow.volatilty: no such setting; did you mean"),
        ("[flow]\nzzz = 1", "flow.zzz: no such setting; there are"),
        ("[flow]\nkind = 1", "flow.kind: 1 is not a text"),
        ('[flow]\nkind = "wild"', "flow: 'wild' is none of"),
        ('[flow]\nprocess = "levy"', "flow.process: 'levy' is none of 'anchored'"),
        ("[flow]\nprocess = 1", "flow.process: 1 is not a text"),
        ("[flow]\nseed = 1.5", "flow.seed: 1.5 is not a whole number"),
        ("[flow]\nclustering = 1.0", "flow.clustering: 1.0 is not within 0 and 0.95"),
        ('[flow]\nvolatility = "1"', "flow.volatility: '1' is not a number"),
        ("[flow]\nevents_per_s = nan", "flow.events_per_s: nan is not within"),
        ("[flow.ETH]\njump_size = 2", "flow.ETH.jump_size: 2 is not within 0 and 1"),
        ("[flow.ETH]\nstart_price = true", "flow.ETH.start_price: True is not a price"),
        ('[flow.ETH]\nstart_price = "x"', "flow.ETH.start_price: 'x' is not a price"),
        ("[flow.ETH]\nstart_price = inf", "flow.ETH.start_price: inf is not a price"),
        ("synthetic = 1", "synthetic: no such setting"),
    ],
)
def test_bad_tables_are_refused_by_the_path_of_the_key(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


async def test_the_exchange_opens_the_markets_that_were_described(tmp_path):
    async with Engine(settings=read(tmp_path, FILE), clock=SteppedClock()) as engine:
        state = engine.exchange.markets[0]
        assert abs(state.mark_price - 250_050) < 250
