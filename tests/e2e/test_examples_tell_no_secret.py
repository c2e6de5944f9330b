"""No example tells a key or a token: not on the terminal, not in a file it writes.

Each is started as its documentation says, once at an exchange of its own and, where it
takes an address, once at one that runs here. The keys of both follow from the seed.
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import re
import sys
from typing import NamedTuple

import pytest

from wrappy.signing.python import PythonSigner
from wrappy.venue import Venue, VenueSettings
from wrappy.venue.accounts import make_accounts

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PATIENCE_S = 120.0
SEED = 1
TOKEN = re.compile(r"(?:ro:\d+:\w+:\d{9,}|\d{9,}:\d+:\d+):[0-9a-f]{32,}", re.IGNORECASE)
"""A token of either kind: moment, account and key, then a signature."""

SCRIPTS = {
    "basics/quick_start": (),
    "basics/public_trades": ("--count", "2"),
    "basics/batch_cancel_and_create": (),
    "basics/wait_update_cancel": (),
    "basics/multi_symbol": ("ETH=100", "BTC=200"),
    "basics/bounded_requoting": ("--orders", "2", "--rounds", "2"),
    "basics/environment_only": (),
    "basics/close_everything": ("--yes",),
    "order_life": ("--seconds", "2"),
    "recovery": (),
    "all_at_once": ("--seconds", "3", "--join", "1"),
    "parameter_scan": ("--count", "200"),
    "watch_and_alert": ("--seconds", "3", "--every", "1", "--drill", "1"),
    "daily_report": (),
    "hedge/full": ("--rounds", "1", "--journal", "hedges.jsonl"),
    "hedge/leg_a": ("--config", "hedge.yaml"),
    "hedge/leg_b": ("--config", "hedge.yaml", "--journal", "hedges.jsonl"),
    "trend_ladder/run_trend_ladder": ("--seconds", "3", "--log-level", "DEBUG"),
    "trend_ladder/side_vs_reduce_only": (),
    "trend_ladder/open_orders_vs_coverage": (),
}
FIND_SOMETHING = {
    "trend_ladder/side_vs_reduce_only",
    "trend_ladder/open_orders_vs_coverage",
}
"""They end with 1: they have made an example of what they look for."""

LEGS = {"hedge/leg_a", "hedge/leg_b"}
TAKE_AN_ADDRESS = [
    "order_life",
    "daily_report",
    "recovery",
    *(name for name in SCRIPTS if name.startswith("basics/")),
]


class Told(NamedTuple):
    """What a process has left."""

    code: int
    out: str
    err: str


def test_every_script_is_tried():
    programs = {
        str(path.relative_to(EXAMPLES).with_suffix(""))
        for path in EXAMPLES.rglob("*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    }
    assert programs == set(SCRIPTS)


def secrets_of(seed):
    """Return everything that must not be found, in the spellings it could have."""
    found = set()
    for account in make_accounts(VenueSettings(seed=seed)):
        for key in account.api_keys:
            bare = key.api_key_private_key.removeprefix("0x").lower()
            number = int.from_bytes(bytes.fromhex(bare), "little")
            found |= {bare, bare[:40], bare[-40:], str(number), str(int(bare, 16))}
            found.add(bytes.fromhex(bare).decode("latin-1").lower())
    return found


SECRETS = secrets_of(SEED)


def hidden_in(text):
    """Return what a text tells, shortened."""
    lower = text.lower()
    found = [secret[:6] for secret in SECRETS if secret in lower]
    return found + [token[:12] for token in TOKEN.findall(text)]


async def ran(folder, *command, seconds=None, **variables):
    """Run a program to its end, or interrupt it after some time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONASYNCIODEBUG": "1",
            "TREND_LADDER_CARD": "card.html",
            **variables,
        },
        cwd=folder,
    )
    told = asyncio.ensure_future(process.communicate())
    try:
        if seconds is not None:
            await asyncio.wait([told], timeout=seconds)
            if process.returncode is None:
                process.terminate()
        out, err = await asyncio.wait_for(asyncio.shield(told), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await told
    return Told(process.returncode, out.decode(), err.decode())


def assert_tells_nothing(folder, told, *, but=()):
    assert "Traceback" not in told.err
    assert hidden_in(told.out) == []
    assert hidden_in(told.err) == []
    for path in folder.rglob("*"):
        if path.is_file() and path not in but:
            assert hidden_in(path.read_bytes().decode("latin-1")) == [], path
            assert hidden_in(str(path)) == []


def command_of(name):
    if name.startswith("hedge/"):
        return ("-m", f"examples.{name.replace('/', '.')}")
    return (str(EXAMPLES / f"{name}.py"),)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in LEGS])
async def test_a_script_tells_no_secret(name, tmp_path):
    told = await ran(tmp_path, *command_of(name), *SCRIPTS[name])
    assert told.code == (1 if name in FIND_SOMETHING else 0), told.err
    assert told.out or told.err
    assert_tells_nothing(tmp_path, told)


def owner_of(venue):
    """Return the variables that give a process the first account."""
    account = venue.accounts[0]
    key = account.api_keys[0]
    return {
        "LIGHTER_ACCOUNT_INDEX": str(account.account_index),
        "LIGHTER_API_KEY_INDEX": str(key.api_key_index),
        "LIGHTER_API_KEY": key.api_key_private_key,
    }


@pytest.mark.parametrize("name", TAKE_AN_ADDRESS)
async def test_a_script_that_is_given_a_key_keeps_it(name, tmp_path):
    async with Venue(seed=SEED) as venue:
        variables, where = owner_of(venue), ("--network", venue.base_url)
        if name == "basics/environment_only":
            variables["LIGHTER_BASE_URL"], where = venue.base_url, ()
        arguments = (*where, *SCRIPTS[name])
        told = await ran(tmp_path, *command_of(name), *arguments, **variables)
        assert told.code == 0, told.err
        assert_tells_nothing(tmp_path, told)
        # A key that the exchange does not know, and what is said of it.
        stranger = venue.accounts[1].api_keys[0].api_key_private_key
        variables["LIGHTER_API_KEY"] = stranger
        told = await ran(tmp_path, *command_of(name), *arguments, **variables)
        assert name == "basics/public_trades" or told.code != 0
        assert_tells_nothing(tmp_path, told)


@pytest.mark.parametrize("name", sorted(LEGS))
async def test_a_leg_of_the_hedge_keeps_its_key(name, tmp_path):
    async with Venue(seed=SEED) as venue:
        seats = []
        for leg, account in zip("ab", venue.accounts, strict=False):
            index, key = account.account_index, account.api_keys[0].api_key_index
            seats.append(
                f"  account_{leg}: {{account_index: {index}, api_key_index: {key}}}\n"
            )
        (tmp_path / "hedge.yaml").write_text(
            f"lighter: {{base_url: '{venue.base_url}', chain_id: {venue.chain_id}}}\n"
            f"accounts:\n{''.join(seats)}strategy: {{rounds: 1}}\n"
        )
        keys = [account.api_keys[0].api_key_private_key for account in venue.accounts]
        told = await ran(
            tmp_path,
            *(*command_of(name), *SCRIPTS[name]),
            seconds=5.0,
            HEDGE_A_PRIVATE_KEY=keys[0],
            HEDGE_B_PRIVATE_KEY=keys[1],
        )
        assert told.code in (0, 1, 130), told.err
        assert_tells_nothing(tmp_path, told)


@pytest.mark.parametrize(
    "name",
    sorted(path.stem for path in (EXAMPLES / "strategies").glob("[!_]*.py")),
)
async def test_a_strategy_tells_no_secret(name, tmp_path):
    told = await ran(
        tmp_path,
        *("-X", "dev", "-m", "wrappy.runner.cli.app", "run", "--strategy", name),
        *("--duration", "2"),
    )
    assert told.code == 0, told.err
    assert_tells_nothing(tmp_path, told)


@pytest.mark.parametrize(
    "stage",
    sorted((EXAMPLES / "staged_rollout").glob("*.toml")),
    ids=lambda path: path.stem,
)
async def test_a_stage_of_the_roll_out_tells_no_secret(stage, tmp_path):
    async with Venue(seed=SEED, flow="none") as venue:
        account = venue.accounts[0]
        file, key_file = tmp_path / stage.name, tmp_path / "wrappy.key.json"
        file.write_text(stage.read_text())
        key_file.write_text(
            json.dumps(
                {
                    "account_index": account.account_index,
                    "api_key_index": account.api_keys[0].api_key_index,
                    "api_key_private_key": account.api_keys[0].api_key_private_key,
                }
            )
        )
        key_file.chmod(0o600)
        told = await ran(
            tmp_path,
            *("-m", "wrappy.runner.cli.app", "run", file.name, "--network", "venue"),
            *("--duration", "1"),
        )
        assert told.code == 0, told.err
        assert_tells_nothing(tmp_path, told, but={key_file})
        # Whoever starts it is shown the way to the page, once; nobody else is.
        (token,) = re.findall(r"#token=(\S+)", told.out)
        assert told.out.count(token) == 1
        assert token not in told.err
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or token.encode() not in path.read_bytes()


def test_the_search_finds_what_it_looks_for():
    account = make_accounts(VenueSettings(seed=SEED))[0]
    key = account.api_keys[0]
    signer = PythonSigner(
        key.api_key_private_key,
        account_index=account.account_index,
        api_key_index=key.api_key_index,
        chain_id=304,
    )
    token = signer.auth_token(deadline_s=1_767_225_600)
    assert hidden_in(f"auth={token}")
    assert hidden_in(f"authorization: ro:7:single:1800000000:{token[-40:]}")
    assert hidden_in(f"key 0x{key.api_key_private_key.upper()}!")
    assert hidden_in("tx 0f0f hash " + "ab" * 40) == [], "hashes are no secret"
