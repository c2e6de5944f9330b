"""Settings of worlds that cannot work are told by name, before anything is opened."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.worlds.dry_run import DryRunRecord
from wrappy.runner.worlds.local import is_loopback
from wrappy.runner.worlds.settings import PaperSettings, WorldSettings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"balance": 10_000}, "paper.balance"),
        ({"balance": Decimal(0)}, "paper.balance"),
        ({"balance": Decimal("NaN")}, "paper.balance"),
        ({"balance": Decimal(10) ** 12}, "paper.balance"),
        ({"tier": "gold"}, "tier"),
        ({"queue": "first"}, "queue"),
        ({"stale_after_s": 0.5}, "paper.stale_after_s"),
        ({"stale_after_s": 60}, "paper.stale_after_s"),
        ({"stale_after_s": float("nan")}, "paper.stale_after_s"),
        ({"ready_timeout_s": 0}, "paper.ready_timeout_s"),
    ],
)
def test_paper_that_cannot_work_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        PaperSettings(**change)


def test_paths_may_be_texts_and_symbols_are_named_once():
    settings = WorldSettings(
        name="testnet", key_file="key.json", symbols=["ETH", "BTC", "ETH"]
    )
    assert settings.key_file == Path("key.json")
    assert settings.symbols == ("ETH", "BTC")


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost:80", True),
        ("http://0.0.0.0:80", False),
        ("http://localhost.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://127.0.0.1@example.org", False),
        ("http://10.0.0.1", False),
        ("nonsense", False),
    ],
)
def test_only_addresses_of_this_machine_need_no_second_word(url, here):
    assert is_loopback(url) is here


def test_a_record_of_a_dry_run_reads_like_an_order():
    record = DryRunRecord(
        act="create",
        symbol="ETH",
        side="buy",
        price=Decimal("3000.00"),
        size=Decimal("0.0100"),
        client_order_index=7,
        reduce_only=True,
    )
    assert str(record) == "create buy 0.0100 ETH at 3000.00 reduce-only (order 7)"
    assert str(DryRunRecord(act="cancel all", symbol="")) == "cancel all"
