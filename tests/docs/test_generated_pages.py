"""What a page repeats from the code is generated from it, and is up to date.

Run this file as a script to write the generated parts anew.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import itertools
import pathlib
import re
import typing
from collections import Counter

import pytest

from tests.e2e.test_every_code import CASES
from wrappy import errors
from wrappy._core.journal_rows import SendStage
from wrappy._core.order_states import TRANSITIONS, VENUE_STATUSES, mermaid
from wrappy.lighter.config import ENVIRONMENT, DealerConfig
from wrappy.model import OrderStatus
from wrappy.protocol.code_table import CODE_TABLE
from wrappy.protocol.intents import TxType
from wrappy.protocol.tiers import DEFAULT_WEIGHT, TIERS, WEIGHTS
from wrappy.runner.performance import FORMULAS
from wrappy.venue.__main__ import parser
from wrappy.venue.fault_rules import POSSIBLE, Act, FaultRule
from wrappy.venue.limit_settings import QuotaRules, StreamLimits
from wrappy.venue.settings import BOUNDS, CHOICES, VenueSettings

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
OPEN_READING = "open reading: "


# Why the local exchange never answers with some of the documented codes.
GROUPS = (
    (range(21200, 21300), "there are no public pools and no staking"),
    (range(21900, 22000), "nobody can ask for a deleverage"),
)
REASONS = {
    "markets are not made or changed by transactions": (
        *(21603, 21606, 21607, 21608, 21611, 21612, 21617, 21619, 21620),
        *(21622, 21623, 21624, 21625, 21626, 21803, 21806, 21807, 21808, 21135),
    ),
    "only a liquidator's own transactions can meet it": (
        *(21107, 21111, 21112, 21114, 21723, 21724, 21725, 21726, 21133),
    ),
    "it is said of what the sequencer does by itself": (
        *(21125, 21716, 21730, 21731, 21736, 21737, 21122, 21302, 21303, 21516),
    ),
    "there is no base chain and no proof": (21131, 21512, 21745, 21502, 21503),
    "there are no unlocks, pools or restricted assets": (
        *(21127, 21130, 21137, 21138, 21139, 21140, 21141, 21744),
    ),
    "another code of the list is taken for the same": (
        *(21101, 21103, 21136, 21507, 21616, 21710, 21801, 21804),
    ),
    "nothing here has such a limit or fails so": (
        *(21506, 21601, 21721, 21722, 29501, 30008, 30011),
    ),
    "referral codes neither expire nor ask for an invitation": (41002, 41004, 41005),
    "a change of tier is immediate": (62001,),
}

PICKED = {
    **dict.fromkeys((21707, 21708, 21715), "gone_order_code"),
    **dict.fromkeys((30004, 30012), "stream_auth_code"),
}
"""Codes that are answered where an open reading picks them."""
BROKEN = 29500
"""The code of a failure inside, which no request can provoke."""


def reason(code):
    """Return why a code is never answered, or None."""
    for codes, words in GROUPS:
        if code in codes:
            return words
    return next((words for words, codes in REASONS.items() if code in codes), None)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n"
        for line in lines
    )


def code(text):
    return f"`{text}`"


def attributes(kind):
    """Return what a class says of its attributes, by name, one line each."""
    documentation = inspect.getdoc(kind) or ""
    section = documentation.partition("\nAttributes:\n")[2]
    section = re.split(r"\n(?=\S)", section)[0]
    found = {}
    for match in re.finditer(
        r"^    (\w+): (.*(?:\n(?: {6,}.*|(?=\n {6})))*)", section, re.MULTILINE
    ):
        found[match[1]] = " ".join(match[2].split())
    return found


def sentence(text):
    whole = text.removesuffix("; or").rstrip(".")
    return whole[:1].upper() + whole[1:]


def type_text(field):
    return str(field.type).removesuffix(" | None")


def default_text(value):
    if dataclasses.is_dataclass(value):
        return "a table"
    if isinstance(value, (bool, int, float, str)):
        return code(repr(value).replace("'", '"'))
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return code(", ".join(map(str, value)))
    return code(f'"{value.value}"')


def config_fields():
    words = attributes(DealerConfig)
    rows = [
        [
            code(field.name),
            code(type_text(field)),
            default_text(field.default),
            sentence(words[field.name]),
        ]
        for field in dataclasses.fields(DealerConfig)
    ]
    return table(["Setting", "Type", "Default", "Meaning"], rows)


def environment():
    rows = [[code(variable), code(name)] for variable, name in ENVIRONMENT.items()]
    return table(["Variable", "Setting"], rows)


def open_readings():
    words = attributes(VenueSettings)
    rows = []
    for field in dataclasses.fields(VenueSettings):
        if not words[field.name].startswith(OPEN_READING):
            continue
        choices = CHOICES.get(field.name, (True, False))
        shown = ", ".join(default_text(choice) for choice in choices)
        if field.name in BOUNDS:
            shown = "{} to {}".format(*BOUNDS[field.name])
        rows.append(
            [
                code(field.name),
                shown,
                default_text(field.default),
                sentence(words[field.name].removeprefix(OPEN_READING)),
            ]
        )
    return table(["Setting", "Choices", "Default", "The open question"], rows)


def venue_settings():
    words = attributes(VenueSettings)
    return table(
        ["Setting", "Default", "Meaning"],
        [
            [code(field.name), default_text(field.default), sentence(words[field.name])]
            for field in dataclasses.fields(VenueSettings)
            if not words[field.name].startswith(OPEN_READING)
        ],
    )


def fault_fields():
    words = attributes(FaultRule)
    rows = []
    for field in dataclasses.fields(FaultRule):
        missing = field.default is dataclasses.MISSING
        default = "required" if missing else default_text(field.default)
        rows.append([code(field.name), default, sentence(words[field.name])])
    return table(["Field", "Default", "Meaning"], rows)


def fault_places():
    acts = typing.get_args(Act)
    rows = []
    for act in acts:
        cells = [
            ", ".join(
                code(phase)
                for (there, phase), possible in POSSIBLE.items()
                if there == door and act in possible
            )
            or "-"
            for door in ("rest", "stream")
        ]
        rows.append([code(act), *cells])
    return table(["Act", "Phases over REST", "Phases over the WebSocket"], rows)


def venue_flags():
    rows = []
    for action in parser()._actions:
        if action.dest == "help":
            continue
        value = ""
        if action.choices:
            value = ", ".join(map(code, action.choices))
        elif not isinstance(action, argparse._StoreTrueAction):
            value = code("number" if action.type is int else "text")
        unset = action.default is None or action.default is False
        default = "" if unset else code(action.default)
        about = (action.help or "").replace(" (%(default)s)", "")
        rows.append([code(action.option_strings[0]), value, default, sentence(about)])
    return table(["Flag", "Value", "Default", "Meaning"], rows)


def _tree(kind, depth=0):
    yield depth, kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _tree(below, depth + 1)


def error_tree():
    rows = []
    for depth, kind in _tree(errors.WrappyError):
        first_line = (inspect.getdoc(kind) or "").partition("\n")[0]
        rows.append(
            [
                "&emsp;" * depth + code(kind.__name__),
                code(kind.outcome),
                "yes" if kind.retryable else "no",
                first_line.rstrip("."),
            ]
        )
    return table(["Class", "`outcome`", "`retryable`", "When"], rows)


def order_state_diagram():
    return f"```mermaid\n{mermaid()}```\n"


def order_state_table():
    rows = []
    for status in OrderStatus:
        exits = {}
        for (before, event), after in TRANSITIONS.items():
            if before is status and after is not status:
                exits.setdefault(after, []).append(event.value)
        text = "; ".join(
            f"{code(after.value)} on {', '.join(events)}"
            for after, events in exits.items()
        )
        rows.append([code(status.value), text or "nothing: the order has ended"])
    return table(["State", "Leaves to"], rows)


def venue_statuses():
    return table(
        ["`status` of the exchange", "State here, without a fill", "In words"],
        [
            [
                code(text),
                code(verdict.event.value.removeprefix("reported ")),
                verdict.reason,
            ]
            for text, verdict in VENUE_STATUSES.items()
        ],
    )


def tiers():
    rows = [
        [
            code(tier.name),
            f"{tier.maker_fee_tick / 10_000:.3f} %",
            f"{tier.taker_fee_tick / 10_000:.3f} %",
            f"{tier.maker_delay_ms} ms",
            f"{tier.taker_delay_ms} ms",
            f"{tier.sends_per_minute:,}",
            f"{tier.weight_per_minute:,} "
            + ("weight" if tier.weighted else "requests"),
        ]
        for tier in TIERS.values()
    ]
    return table(
        [
            "Tier",
            "Maker fee",
            "Taker fee",
            "Maker delay",
            "Taker delay",
            "Sends a minute",
            "Other requests a minute",
        ],
        rows,
    )


def weights():
    rows = [[code(path), f"{weight:,}"] for path, weight in WEIGHTS.items()]
    return table(["Path", "Weight"], [*rows, ["any other", f"{DEFAULT_WEIGHT:,}"]])


def said_of_members(kind):
    """Return what stands below each member of an enumeration, by name."""
    body = ast.parse(inspect.getsource(kind)).body[0].body
    return {
        before.targets[0].id: " ".join(below.value.value.split())
        for before, below in itertools.pairwise(body)
        if isinstance(before, ast.Assign) and isinstance(below, ast.Expr)
    }


def journal_stages():
    words = said_of_members(SendStage)
    rows = [
        [str(stage.value), code(stage.name), sentence(words[stage.name])]
        for stage in SendStage
    ]
    return table(["Number on disk", "Stage", "What is known"], rows)


def transaction_types():
    rows = [[str(kind.value), code(kind.name)] for kind in TxType]
    return table(["Number", "Name"], rows)


def answered_codes():
    """Return the documented codes that stand in the local exchange's source."""
    folder = ROOT / "wrappy" / "venue"
    return {
        node.value
        for file in folder.glob("*.py")
        if file.name != "settings.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and type(node.value) is int
        if node.value in CODE_TABLE
    }


def where_answered(number):
    """Return what the table of codes says of one."""
    if number in PICKED:
        return f"answered where {code(PICKED[number])} says so"
    why = reason(number)
    return "answered" if why is None else f"never: {why}"


def error_codes():
    rows = [
        [str(number), code(name), words, where_answered(number)]
        for number, (name, words) in sorted(CODE_TABLE.items())
    ]
    return table(["Code", "Name", "Words", "At the local exchange"], rows)


def stream_limits():
    return group_of(StreamLimits)


def quota_rules():
    return group_of(QuotaRules)


def group_of(kind):
    words = attributes(kind)
    rows = [
        [code(field.name), default_text(field.default), sentence(words[field.name])]
        for field in dataclasses.fields(kind)
    ]
    return table(["Key", "Default", "Meaning"], rows)


def performance_figures():
    rows = [[code(name), code(formula)] for name, formula in FORMULAS.items()]
    return table(["Figure", "Formula"], rows)


GENERATED = {
    "concepts/order-states.md": {
        "order-state-diagram": order_state_diagram,
        "order-state-table": order_state_table,
        "venue-statuses": venue_statuses,
    },
    "concepts/the-venue.md": {"open-readings": open_readings},
    "concepts/rate-limits.md": {"tiers": tiers, "weights": weights},
    "reference/config.md": {
        "config-fields": config_fields,
        "environment": environment,
    },
    "reference/error-codes.md": {"error-codes": error_codes},
    "reference/errors.md": {"error-tree": error_tree},
    "reference/journal.md": {"journal-stages": journal_stages},
    "reference/performance-figures.md": {"performance-figures": performance_figures},
    "reference/transactions.md": {"transaction-types": transaction_types},
    "reference/venue.md": {
        "fault-fields": fault_fields,
        "fault-places": fault_places,
        "venue-flags": venue_flags,
        "venue-settings": venue_settings,
        "stream-limits": stream_limits,
        "quota-rules": quota_rules,
    },
}
PARTS = [(page, name) for page, parts in GENERATED.items() for name in parts]


def part_pattern(name):
    return re.compile(
        rf"(<!-- BEGIN GENERATED: {name} -->\n\n)((?:(?!<!--).*\n)*)"
        r"(<!-- END GENERATED -->)"
    )


@pytest.mark.parametrize(("page", "name"), PARTS)
def test_a_generated_part_says_what_the_code_says(page, name):
    text = (DOCS / page).read_text(encoding="utf-8")
    found = part_pattern(name).findall(text)
    assert len(found) == 1, f"{page} needs one part named {name}"
    assert found[0][1] == GENERATED[page][name]() + "\n", (
        f"docs/{page} is behind the code; run: python {pathlib.Path(__file__).name}"
    )


def test_every_generated_part_has_a_generator():
    marked = Counter(
        (str(page.relative_to(DOCS)), name)
        for page in DOCS.rglob("*.md")
        for name in re.findall(
            r"BEGIN GENERATED: ([\w-]+)", page.read_text(encoding="utf-8")
        )
    )
    assert marked == Counter(PARTS)


@pytest.mark.parametrize("kind", [DealerConfig, FaultRule, VenueSettings])
def test_every_setting_is_described(kind):
    assert list(attributes(kind)) == [f.name for f in dataclasses.fields(kind)]


def test_every_documented_code_is_answered_or_has_a_reason_not_to_be():
    unanswered = set(CODE_TABLE) - answered_codes() - set(PICKED)
    assert unanswered == {number for number in CODE_TABLE if reason(number)}


def test_every_code_that_is_answered_is_provoked_by_a_request():
    provoked = {*CASES, BROKEN} & set(CODE_TABLE)
    assert provoked == answered_codes() | set(PICKED)


def write():
    """Write every generated part anew."""
    for page, parts in GENERATED.items():
        path = DOCS / page
        text = path.read_text(encoding="utf-8")
        for name, make in parts.items():
            found = part_pattern(name).search(text)
            before, after = text[: found.end(1)], text[found.start(3) :]
            text = f"{before}{make()}\n{after}"
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
