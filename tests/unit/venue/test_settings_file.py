"""Settings of the local exchange as a file that a person can edit."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import TIERS
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.__main__ import build, main, parser
from wrappy.venue.limit_settings import QuotaRules, StreamLimits
from wrappy.venue.settings import CHOICES
from wrappy.venue.settings_file import (
    read_settings,
    settings_from,
    settings_table,
    settings_text,
)

numbers = st.integers(0, 2**40)
tiers = st.builds(
    dataclasses.replace,
    st.sampled_from(list(TIERS.values())),
    maker_fee_tick=numbers,
    taker_delay_ms=numbers,
    weighted=st.booleans(),
)
settings = st.builds(
    VenueSettings,
    seed=st.integers(-(2**60), 2**60),
    tier=st.sampled_from(sorted(TIERS)),
    account_count=st.integers(2, 50),
    collateral=numbers,
    symbols=st.sampled_from([("ETH",), ("BTC", "ETH")]),
    block_ms=st.integers(1, 10_000),
    stream_limits=st.builds(StreamLimits, in_flight=st.integers(1, 99)),
    volume_quota=st.builds(QuotaRules, cap=numbers, shown_to_all=st.booleans()),
    weights=st.sampled_from([(), (("/api/v1/tx", 7), ("/api/v1/trades", 1))]),
    tiers=st.lists(tiers, max_size=3, unique_by=lambda tier: tier.name).map(tuple),
    **{
        name: st.sampled_from(choices)
        for name, choices in CHOICES.items()
        if name != "flow"
    },
)


def written(folder, text, name="venue.toml"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def plain(chosen):
    """Return settings without what is compared apart, weights in one order."""
    weights = tuple(sorted(chosen.weights))
    return dataclasses.replace(chosen, tiers=(), weights=weights)


def told(*line):
    return build(parser().parse_args(list(line))).settings


@given(settings)
def test_what_is_written_is_read_back(tmp_path_factory, chosen):
    file = written(tmp_path_factory.getbasetemp(), settings_text(chosen))
    found = read_settings(file)
    same = {tier.name: tier for tier in chosen.tiers if tier != TIERS[tier.name]}
    assert plain(found) == plain(chosen)
    assert {tier.name: tier for tier in found.tiers} == same


@given(settings)
def test_settings_survive_json(chosen):
    found = settings_from(json.loads(json.dumps(settings_table(chosen))))
    assert all(
        found.tier_named(name) == chosen.tier_named(name) for name in sorted(TIERS)
    )
    assert plain(found) == plain(chosen)


def test_every_setting_stands_in_the_printed_file():
    text = settings_text()
    for field in dataclasses.fields(VenueSettings):
        assert (
            f"\n{field.name} = " in text
            or f"\n# {field.name} = " in text
            or f"\n[{field.name}]\n" in text
            or (field.name == "synthetic" and "# events_per_s = " in text)
            or (
                field.name == "tiers"
                and all(f"\n[tiers.{name}]\n" in text for name in TIERS)
            )
        )
    assert '# One of "replace", "refuse".' in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_empty_file_changes_nothing(tmp_path):
    assert read_settings(written(tmp_path, "")) == VenueSettings()


def test_a_tape_is_looked_for_beside_its_file(tmp_path):
    found = read_settings(written(tmp_path, 'tape = "market.gz"'))
    assert found.tape == tmp_path / "market.gz"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sed = 1", "sed: no such setting; did you mean seed?"),
        ("[zzz]", "zzz: no such setting; there are seed, "),
        ('seed = "1"', "seed: '1' is not a whole number, such as 1"),
        ("seed = 1.5", "seed: 1.5 is not a whole number"),
        ("seed = true", "seed: True is not a whole number"),
        ("tier = 5", "tier: 5 is not a text"),
        ('tier = "gold"', "tier: 'gold' is none of"),
        ("verify = 1", "verify: 1 is not true or false"),
        ('symbols = "ETH"', "symbols: 'ETH' is no list of texts"),
        ("symbols = [1]", "symbols: [1] is no list of texts"),
        ("symbols = []", "symbols: name at least one"),
        ("tape = 1", "tape: 1 is not a text"),
        ("block_ms = 0", "block_ms: 0 is below 1"),
        ('gone_order = "ignore"', "gone_order: 'ignore' is none of"),
        ("tiers = 1", "tiers: 1 is no table"),
        ("[tiers]\nplus = 1", "tiers.plus: 1 is no table, such as [tiers.plus]"),
        ("[tiers.gold]", "tiers.gold: no such setting"),
        ("[tiers.plus]\nmaker_fee = 1", "did you mean tiers.plus.maker_fee_tick?"),
        ("[tiers.plus]\nname = 'x'", "tiers.plus.name: no such setting"),
        ("[tiers.plus]\nmaker_fee_tick = -1", "tiers.plus.maker_fee_tick: -1 is not"),
        ("[tiers.plus]\nweighted = 1", "tiers.plus.weighted: 1 is not true or false"),
        ("stream_limits = 1", "stream_limits: 1 is no table"),
        ("[stream_limits]\nconnection = 1", "did you mean stream_limits.connections?"),
        ("[stream_limits]\nin_flight = 0", "stream_limits.in_flight: 0 is not within"),
        ("[stream_limits]\nin_flight = 'x'", "stream_limits.in_flight: 'x' is not a"),
        ("[volume_quota]\ncap = -1", "volume_quota.cap: -1 is not within 0.."),
        ("[volume_quota]\ncode = 1", "volume_quota.code: 1 is not within 20000.."),
        ("[volume_quota]\nshown_to_all = 1", "shown_to_all: 1 is not true or false"),
        ("[weights]\ntrades = 1", "weights.trades: is no path, such as /api/v1/trades"),
        ('[weights]\n"/api/v1/tx" = 0', "weights./api/v1/tx: 0 is not within 1.."),
        ('[weights]\n"/api/v1/tx" = "x"', "weights./api/v1/tx: 'x' is not a whole"),
        ("nonce_window = -1", "nonce_window: -1 is not within 0..1000"),
        ("throttle_status = 503", "throttle_status: 503 is none of 429, 405"),
        ("[tiers.plus]\nsends_per_minute = 0", "0 is not within 1.."),
        ("[tiers.plus]\ncaps = 1", "tiers.plus.caps: 1 is no table"),
        ("[tiers.plus.caps]\nactive = 1", "tiers.plus.caps.active: no such setting"),
        ("[tiers.plus.caps]\nactive_per_market = 'x'", "active_per_market: 'x' is not"),
        ("seed =", "is no TOML"),
    ],
)
def test_what_cannot_work_is_named_by_its_path(tmp_path, capsys, text, words):
    file = written(tmp_path, text)
    assert main(["--settings", str(file)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert str(file) in line
    assert words in line


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is no TOML"):
        read_settings(tmp_path / "x")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_settings(tmp_path / "y")


def test_the_command_line_has_the_last_word(tmp_path):
    file = str(written(tmp_path, 'seed = 7\ntier = "plus"\nsymbols = ["BTC"]\n'))
    assert told("--settings", file).seed == 7
    assert told("--settings", file, "--seed", "1").seed == 1
    assert told("--settings", file, "--seed", "0").tier == "plus"
    assert told("--settings", file, "--symbols", "eth").symbols == ("ETH",)
    assert told("--settings", file, "--limits", "--verify", "none") == VenueSettings(
        seed=7, tier="plus", symbols=("BTC",), enforce_limits=True, verify=False
    )
    assert told("--accounts", "3", "--flow", "none").account_count == 3


def test_the_settings_are_printed_as_they_are_in_force(tmp_path, capsys):
    assert main(["--print-settings", "--seed", "9", "--tier", "standard"]) == 0
    file = written(tmp_path, capsys.readouterr().out)
    assert read_settings(file) == VenueSettings(seed=9, tier="standard")


async def test_the_exchange_goes_by_the_tiers_it_is_given(tmp_path):
    file = written(
        tmp_path,
        "[tiers.premium]\nmaker_delay_ms = 77\n[tiers.premium.caps]\n"
        "active_per_market = 3\n",
    )
    async with Venue(settings=read_settings(file), clock=SteppedClock()) as venue:
        owner = venue.exchange.accounts[venue.accounts[0].account_index]
        assert owner.tier.maker_delay_ms == 77
        assert owner.tier.caps.active_per_market == 3
        assert owner.tier.taker_fee_tick == TIERS["premium"].taker_fee_tick


def test_a_tier_nobody_knows_is_refused():
    stranger = dataclasses.replace(TIERS["plus"], name="gold")
    with pytest.raises(ConfigError, match=r"^tiers: 'gold'"):
        VenueSettings(tiers=(stranger,))
