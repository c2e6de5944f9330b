"""Who is let in to look, and settings that would let in others."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from wrappy.errors import ConfigError
from wrappy.runner.monitor import MonitorSettings, monitor_token
from wrappy.runner.monitor.access import refusal
from wrappy.runner.settings.tables import read_table

TOKEN = "a-token-of-good-length"
HOST = {"Host": "127.0.0.1:8787"}


def judged(headers=None, query=None, remote="127.0.0.1", token=TOKEN):
    found = refusal(
        CIMultiDict({**HOST, **(headers or {})}), query or {}, remote, token
    )
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, {}),
        ({"authorization": f"bearer {TOKEN} "}, {}),
        ({}, {"token": TOKEN}),
        (
            {"Host": "localhost:8787", "Origin": "http://localhost:8787"},
            {"token": TOKEN},
        ),
        ({"Host": "[::1]:8787"}, {"token": TOKEN}),
    ],
)
def test_who_knows_the_token_is_let_in(headers, query):
    assert judged(headers, query) is None


@pytest.mark.parametrize(
    ("headers", "query", "remote", "status"),
    [
        ({}, {}, "127.0.0.1", 401),
        ({}, {"token": TOKEN[:-1]}, "127.0.0.1", 401),
        ({}, {"token": "tökén"}, "127.0.0.1", 401),
        ({"Authorization": f"Basic {TOKEN}"}, {}, "127.0.0.1", 401),
        # A wrong header is not made good by anything else.
        ({"Authorization": "Bearer no"}, {"token": TOKEN}, "127.0.0.1", 401),
        ({"Host": "evil.example:8787"}, {"token": TOKEN}, "127.0.0.1", 403),
        ({"Host": ""}, {"token": TOKEN}, "127.0.0.1", 403),
        ({}, {"token": TOKEN}, "192.168.1.9", 403),
        ({}, {"token": TOKEN}, None, 403),
        ({"Origin": "https://evil.example"}, {"token": TOKEN}, "127.0.0.1", 403),
        ({"Origin": "null"}, {"token": TOKEN}, "127.0.0.1", 403),
    ],
)
def test_everybody_else_is_turned_away(headers, query, remote, status):
    assert judged(headers, query, remote) == status


def test_what_needs_no_token_still_needs_this_machine():
    assert judged(token="") is None
    assert judged({"Host": "evil.example"}, token="") == 403


def test_a_token_is_made_or_taken_from_the_environment():
    assert monitor_token({}) != monitor_token({})
    assert len(monitor_token({})) >= 40
    assert monitor_token({"WRAPPY_MONITOR_TOKEN": TOKEN}) == TOKEN


@pytest.mark.parametrize("bad", ["short", "a token with blanks in it", "x" * 30 + "#"])
def test_a_token_that_is_none_is_refused_without_being_told(bad):
    with pytest.raises(ConfigError, match="WRAPPY_MONITOR_TOKEN") as caught:
        monitor_token({"WRAPPY_MONITOR_TOKEN": bad})
    assert bad not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"host": "10.0.0.1"}, "monitor.host: '10.0.0.1' is not this machine's own"),
        ({"host": "bot.example"}, "monitor.host: 'bot.example'"),
        ({"port": 70_000}, "monitor.port: 70000 is not within 0..65535"),
        ({"every_s": 0}, "monitor.every_s: 0"),
        ({"token": "x"}, "monitor.token: there is no such setting"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(table, words):
    with pytest.raises(ConfigError) as caught:
        read_table(MonitorSettings, table, where="monitor")
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_addresses_of_this_machine_are_taken(host):
    assert MonitorSettings(host=host).host == host
