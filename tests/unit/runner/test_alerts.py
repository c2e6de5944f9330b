"""What is worth a message, how often it is sent, and where addresses come from."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ConfigError
from wrappy.runner.alerts import (
    Alert,
    AlertGate,
    AlertRules,
    AlertSettings,
    alert_urls,
)
from wrappy.runner.events import EventKind, EventRing, Tone
from wrappy.runner.monitor import Figures
from wrappy.runner.settings.tables import read_table

HOUR = 3_600.0


def texts(alerts):
    return [alert.text for alert in alerts]


def test_only_events_that_need_a_person_become_alerts():
    rules, events = AlertRules(AlertSettings()), EventRing(lambda: 0.0)

    def told(kind, text="x", **about):
        return rules.event(events.note(kind, text, **about))

    crash = told(EventKind.STRATEGY_CRASHED, "crashed: ValueError", strategy="a")
    assert crash.text == "a: crashed: ValueError"
    assert crash.tone is Tone.BAD
    assert told(EventKind.FOREIGN_NONCE).tone is Tone.BAD
    assert told(EventKind.RISK_STATE, "risk: ACTIVE → HALTED").tone is Tone.WARN
    assert told(EventKind.ORDER_FILLED) is None
    assert told(EventKind.STRATEGY_FINISHED) is None


def test_what_is_switched_off_is_not_told():
    off = AlertSettings(
        on_crash=False,
        on_risk_state=False,
        on_foreign_nonce=False,
        unknown_order_s=None,
        disconnected_s=None,
        stalled_s=None,
        drawdown=None,
    )
    rules, events = AlertRules(off), EventRing(lambda: 0.0)
    assert all(rules.event(events.note(kind, "x")) is None for kind in EventKind)
    worst = Figures(
        oldest_unknown_s=1e9, outage_s=1e9, drawdown=Decimal(1), daily_pnl=Decimal(-9)
    )
    assert rules.look(worst, 1e9) == []


@pytest.mark.parametrize(
    ("bad", "good", "ages", "words", "over"),
    [
        ({"outage_s": 30.0}, {}, (0, 0), "gone for 30 s", "live again"),
        (
            {"unknown_orders": 2, "oldest_unknown_s": 31.0},
            {},
            (0, 0),
            "2 order(s) in doubt, the oldest for 31 s",
            "is known",
        ),
        ({}, {}, (16, 0), "has not moved for 16 s", "moves again"),
        (
            {"drawdown": Decimal("0.125"), "equity": Decimal(875)},
            {"drawdown": Decimal("0.05")},
            (0, 0),
            "drawdown 12.50%, equity 875",
            "back at 5.00%",
        ),
        (
            {"daily_pnl": Decimal("-100.5")},
            {"daily_pnl": Decimal(-99)},
            (0, 0),
            "daily loss 100.50 USDC",
            "stands at -99.00",
        ),
    ],
)
def test_what_lasts_is_told_when_it_begins_and_when_it_is_over(
    bad, good, ages, words, over
):
    rules = AlertRules(AlertSettings(daily_loss=Decimal(100)))
    assert rules.look(Figures(**good), ages[1]) == []
    (began,) = rules.look(Figures(**bad), ages[0])
    assert words in began.text
    assert began.tone is Tone.BAD
    assert rules.look(Figures(**bad), ages[0]) == []
    (ended,) = rules.look(Figures(**good), ages[1])
    assert over in ended.text
    assert ended.tone is Tone.GOOD
    assert rules.look(Figures(**good), ages[1]) == []


def test_figures_that_are_not_known_neither_begin_nor_end_anything():
    rules = AlertRules(AlertSettings(drawdown=Decimal("0.1")))
    assert len(rules.look(Figures(drawdown=Decimal("0.2")), 0)) == 1
    assert rules.look(Figures(), 0) == []
    assert len(rules.look(Figures(drawdown=Decimal(0)), 0)) == 1


def test_the_same_alert_waits_and_is_told_in_a_digest():
    gate = AlertGate(repeat_s=900, most_per_hour=20)
    same = Alert(key="a", text="again")
    assert gate.take([same], 0.0) == [same]
    for second in range(1, 5):
        assert gate.take([same], float(second)) == []
    assert gate.take([], 300.0) == []
    (digest,) = gate.take([], 301.0)
    assert digest.text == "4 more alert(s) meanwhile:\n4 × again"
    assert gate.take([], 9_000.0) == []
    assert gate.take([same], 900.0) == [same]


def test_a_flood_becomes_one_digest():
    gate = AlertGate(repeat_s=900, most_per_hour=5)
    flood = [Alert(key=str(n), text=f"kind {n}") for n in range(40)]
    assert len(gate.take(flood, 0.0)) == 4
    (digest,) = gate.take([], 400.0)
    lines = digest.text.splitlines()
    assert lines[0] == "36 more alert(s) meanwhile:"
    assert lines[-1] == "and 24 more kinds"
    assert not gate.held
    assert gate.take(flood, 500.0) == []
    assert len(gate.take([], HOUR + 400)) == 1


@given(
    st.lists(
        st.tuples(st.floats(0, 400), st.lists(st.integers(0, 5), max_size=4)),
        max_size=60,
    ),
    st.integers(1, 6),
)
def test_no_hour_has_too_many_messages_and_nothing_is_lost(turns, most):
    gate = AlertGate(repeat_s=600, most_per_hour=most)
    now, asked, told, sent = 0.0, 0, 0, []
    for pause, keys in turns:
        now += pause
        asked += len(keys)
        left = gate.take([Alert(key=str(k), text=f"k{k}") for k in keys], now)
        sent += [now] * len(left)
        for alert in left:
            told += int(alert.text.split()[0]) if alert.key == "digest" else 1
    for at in sent:
        assert sum(at - HOUR < other <= at for other in sent) <= max(1, most)
    assert told + sum(gate.held.values()) == asked


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"drawdown": Decimal("1.5")}, "alerts.drawdown: 1.5 is not between 0 and 1"),
        ({"unknown_order_s": 0}, "alerts.unknown_order_s: 0"),
        ({"daily_loss": Decimal(-5)}, "alerts.daily_loss: -5 is not above 0"),
        ({"repeat_s": 0.5}, "alerts.repeat_s: 0.5"),
        ({"most_per_hour": 0}, "alerts.most_per_hour: 0"),
        ({"urls": ["json://x"]}, "alerts.urls: there is no such setting"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(table, words):
    with pytest.raises(ConfigError) as caught:
        read_table(AlertSettings, table, where="alerts")
    assert str(caught.value).startswith(words)


def test_addresses_come_from_the_environment_before_the_file(tmp_path):
    file = tmp_path / "urls"
    file.write_text("# mine\n json://a \n\nmailto://b\n")
    file.chmod(0o600)
    settings = AlertSettings(urls_file=str(file))
    assert alert_urls(settings, {}) == ("json://a", "mailto://b")
    given_by = {"WRAPPY_ALERT_URLS": "json://c  json://d"}
    assert alert_urls(settings, given_by) == ("json://c", "json://d")
    assert alert_urls(AlertSettings(), {}) == ()


def test_a_file_of_addresses_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "urls"
    file.write_text("json://secret")
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=r"mode 0640.*chmod 600") as caught:
        alert_urls(AlertSettings(urls_file=str(file)), {})
    assert "secret" not in str(caught.value)
    file.chmod(0o600)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is no text"):
        alert_urls(AlertSettings(urls_file=str(file)), {})
    with pytest.raises(ConfigError, match="cannot be read"):
        alert_urls(AlertSettings(urls_file=str(tmp_path / "none")), {})
