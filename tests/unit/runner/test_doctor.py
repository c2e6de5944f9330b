"""What the doctor concludes from what it is told."""

from __future__ import annotations

import dataclasses
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.journal_rows import JournalEntry, SendStage
from wrappy.lighter.persistence.journal_reading import KeptJournal
from wrappy.protocol.markets import BUNDLED_MARKETS
from wrappy.protocol.tiers import TIERS
from wrappy.runner.doctor import account, machine
from wrappy.runner.doctor.clock import SkewBounds, judge
from wrappy.runner.doctor.findings import Grade, failure, fine, warning, worst

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL


def row(nonce, *, order=None, stage=SendStage.EXECUTED, tx_type=14, **changes):
    return JournalEntry(
        **{
            "nonce": nonce,
            "tx_type": tx_type,
            "tx_hash": f"{nonce:064x}",
            "tx_info": "{}",
            "expired_at_ms": 0,
            "market_index": 0,
            "client_order_index": order,
            "group_indices": (),
            "batch": 1,
            "stage": stage,
            "written_ms": 1_000 * nonce,
            "intent": "{}",
            **changes,
        }
    )


def journal(*rows, key=4):
    return KeptJournal(key, Path("journal"), rows)


# ------------------------------------------------------------------------- grades


def test_the_worst_grade_of_nothing_is_ok():
    assert worst([]) is OK
    assert worst([fine("a", "b"), warning("a", "b", "c")]) is WARN
    assert worst([warning("a", "b", "c"), failure("a", "b", "c")]) is FAIL


# -------------------------------------------------------------------------- clock


@given(
    skew_s=st.floats(-100, 100),
    starts=st.lists(st.floats(0, 50), min_size=1, max_size=5),
    travel_s=st.floats(0, 2),
)
def test_the_bounds_hold_the_true_skew(skew_s, starts, travel_s):
    bounds = SkewBounds()
    for asked in sorted(starts):
        told = int((asked + travel_s / 2 + skew_s) // 1)
        bounds.add(asked, told, asked + travel_s)
    slack = 1e-6
    assert bounds.low_s - slack <= skew_s <= bounds.high_s + slack
    assert bounds.least_s <= abs(skew_s) + slack


def test_three_answers_at_thirds_of_a_second_narrow_the_bounds():
    bounds = SkewBounds()
    for asked in (10.0, 10.34, 10.68):
        bounds.add(asked, int(asked + 0.5), asked)
    assert bounds.high_s - bounds.low_s < 0.4


def test_a_clock_that_is_set_meanwhile_starts_the_bounds_anew():
    bounds = SkewBounds()
    bounds.add(10.0, 10, 10.1)
    bounds.add(10.4, 500, 10.5)
    assert 488 < bounds.low_s < bounds.high_s < 491


@pytest.mark.parametrize(
    ("ahead_s", "grade"),
    [(0, OK), (1, OK), (3, WARN), (-3, WARN), (8, FAIL), (-8, FAIL)],
)
def test_only_a_skew_that_is_certain_counts(ahead_s, grade):
    bounds = SkewBounds()
    bounds.add(10.0, 10 + ahead_s, 10.0)
    assert judge(bounds).grade is grade
    assert bool(judge(bounds).fix) is (grade is not OK)


# ------------------------------------------------------------------------ machine


def test_an_old_python_fails():
    assert machine.python((3, 9, 18)).grade is FAIL
    assert machine.python((3, 10, 0)).grade is OK


def test_missing_and_old_libraries_are_named():
    def version_of(name):
        if name == "msgspec":
            raise metadata.PackageNotFoundError(name)
        return {"aiohttp": "3.9.1", "lighter-sdk": "1.1.8rc1"}[name]

    found = machine.libraries(version_of)
    assert found.grade is FAIL
    assert found.words == "aiohttp 3.9.1 is older than 3.14, msgspec is not installed"
    assert machine.libraries().grade is OK


@pytest.mark.parametrize(
    ("free", "grade"), [(1 << 40, OK), (1 << 29, WARN), (1 << 20, FAIL)]
)
def test_a_full_disk_is_told_before_it_is_full(tmp_path, free, grade):
    folder = tmp_path / "not" / "there" / "yet"
    found = machine.disk(folder, lambda _: free)
    assert found.grade is grade
    assert str(tmp_path) in found.words


def test_a_folder_that_others_can_write_into_fails(tmp_path):
    folder = tmp_path / "state"
    assert [f.grade for f in machine.state_folder(folder)] == [OK]
    folder.mkdir(mode=0o700)
    assert [f.grade for f in machine.state_folder(folder)] == [OK]
    folder.chmod(0o777)
    (found,) = machine.state_folder(folder)
    assert found.grade is FAIL
    assert found.fix == f"chmod 700 {folder}"


def test_a_state_folder_that_is_no_folder_fails(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert machine.state_folder(file)[0].grade is FAIL
    assert machine.state_folder(file / "below")[0].grade is FAIL
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert machine.state_folder(link)[0].grade is FAIL


def test_a_key_file_that_others_can_read_fails(tmp_path):
    file = tmp_path / "key"
    file.write_text("")
    file.chmod(0o644)
    (found,) = machine.secret_files([("key file", file)])
    assert (found.grade, found.fix) == (FAIL, f"chmod 600 {file}")
    file.chmod(0o600)
    assert machine.secret_files([("key file", file)])[0].grade is OK
    assert machine.secret_files([("key file", tmp_path / "no")])[0].grade is FAIL
    assert machine.secret_files([("key file", file / "x")])[0].grade is FAIL


# ------------------------------------------------------------------------ account


def test_a_tier_that_the_settings_take_for_a_faster_one_fails():
    (told, _) = account.tier(TIERS["standard"], standard=False)
    assert told.grade is FAIL
    (told, _) = account.tier(TIERS["premium"], standard=True)
    assert told.grade is WARN
    assert [f.grade for f in account.tier(TIERS["premium"], standard=None)] == [OK, OK]


def test_a_tier_that_nobody_knows_is_told():
    strange = dataclasses.replace(TIERS["standard"], name="gold", recognised=False)
    assert account.tier(strange, standard=None)[0].grade is WARN


def test_only_premium_accounts_have_a_quota_to_run_out_of():
    assert "spends" in account.tier(TIERS["premium"], standard=None)[1].words
    assert "no volume quota" in account.tier(TIERS["standard"], standard=None)[1].words


def test_decimals_that_drifted_are_named():
    eth, *rest = BUNDLED_MARKETS
    moved = dataclasses.replace(eth, price_decimals=3)
    (found,) = account.decimals([moved, *rest], BUNDLED_MARKETS, ())
    assert found.grade is WARN
    assert "ETH price_decimals 2 is 3" in found.words
    (found,) = account.decimals([eth], BUNDLED_MARKETS, ())
    assert found.grade is OK


def test_a_market_that_is_not_there_or_not_trading_fails():
    eth = BUNDLED_MARKETS[0]
    closed = dataclasses.replace(eth, active=False)
    found = account.decimals([closed], BUNDLED_MARKETS, ("eth", "DOGE"))
    assert [f.grade for f in found] == [OK, FAIL, FAIL]


def test_orders_that_no_journal_knows_keep_a_bot_from_starting():
    known = [journal(row(1, order=7), row(2, group_indices=(8, 9)))]
    live = [{"client_order_index": n, "market_index": 0} for n in (7, 8, 9)]
    args = {"policy": "refuse", "symbols": {0: "ETH"}}
    assert account.open_orders(live, known, **args).grade is OK
    strange = [*live, {"client_order_index": 0, "market_index": 0}]
    found = account.open_orders(strange, known, **args)
    assert found.grade is FAIL
    assert found.words == "1 of 4 unknown to the journal (ETH)"
    args["policy"] = "adopt"
    found = account.open_orders(strange, known, **args)
    assert (found.grade, found.fix) == (WARN, "the next start adopts them")


@pytest.mark.parametrize(
    ("rows", "expected", "grade"),
    [
        ((), 5, OK),
        ((row(1), row(2)), 3, OK),
        ((row(1), row(2)), 4, FAIL),
        ((row(1), row(3)), 4, WARN),
        # What was refused did not use its number; the next one did.
        ((row(1), row(2, stage=SendStage.REFUSED)), 2, OK),
        # What may still be on its way may have used it, and may not.
        ((row(1), row(2, stage=SendStage.SIGNED)), 2, OK),
    ],
)
def test_numbers_that_we_did_not_use_are_somebody_elses(rows, expected, grade):
    found = account.nonces(account.Numbers(4, expected, journal(*rows)))
    assert found.grade is grade


def test_doubts_are_the_running_bots_own_business():
    doubt = [journal(row(1, stage=SendStage.SIGNED))]
    assert account.unsettled(doubt, running=False).grade is WARN
    assert account.unsettled(doubt, running=True).grade is OK
    assert account.unsettled([journal(row(1))], running=False).grade is OK


@pytest.mark.parametrize(
    ("at_ms", "wanted", "live", "grade"),
    [(400_000, None, 1, OK), (0, None, 0, WARN), (0, 360, 1, WARN), (0, 360, 0, OK)],
)
def test_a_switch_that_should_be_armed_and_is_not_is_told(at_ms, wanted, live, grade):
    found = account.dead_man(at_ms, now_s=100.0, wanted_s=wanted, live=live)
    assert found.grade is grade
