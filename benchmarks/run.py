"""Runs the benchmarks, all or the named ones, and prints one table.

Each benchmark is a process of its own. Figures are medians of interleaved rounds;
nothing here passes or fails, targets stand beside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = (
    "import",
    "single",
    "batch",
    "loop_lag",
    "signing",
    "journal",
    "decode_book",
    "order_cache",
    "venue",
    "budget",
    "memory",
    "lost_orders",
    "indicators",
    "sweep",
    "backtest",
)
PACKAGES = ("aiohttp", "msgspec", "lighter-sdk")


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def package(name: str) -> str:
    """Return an installed package's version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def machine() -> dict[str, Any]:
    """Return what the figures depend on; nothing that names the machine."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: package(name) for name in PACKAGES},
    }


def load() -> float:
    """Return the average number of runnable processes over the last minute."""
    return round(os.getloadavg()[0], 2)


def run(name: str, *, quick: bool) -> list[dict[str, Any]]:
    """Run one benchmark and return its rows."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}"]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [*command, "--quick"] if quick else command,
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def figure(value: float) -> str:
    """Return a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| benchmark | case | median | lowest - highest | faster than | by | target |",
        "|---|---|---:|---:|---|---:|---|",
    ]
    for one in rows:
        ratio = "" if one["ratio"] is None else f"x{figure(one['ratio'])}"
        cells = (
            one["benchmark"],
            one["case"],
            f"{figure(one['median'])} {one['unit']}",
            f"{figure(one['lowest'])} - {figure(one['highest'])}",
            one["against"] or "",
            ratio,
            one["target"] or "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument(
        "--quick", action="store_true", help="few rounds: does it run, not how fast"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: none of {', '.join(BENCHMARKS)}")
    state = {**machine(), "load_before": load()}
    rows = []
    for name in arguments.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += run(name, quick=arguments.quick)
    state["load_after"] = load()
    print(", ".join(f"{key} {value}" for key, value in state.items()))
    print()
    print(table(rows))
    if arguments.json is not None:
        written = {"machine": state, "quick": arguments.quick, "rows": rows}
        arguments.json.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
