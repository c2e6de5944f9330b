"""What an import costs a fresh process.

`import wrappy` loads nothing of itself, so the line that counts is the one that
asks for the dealer. Bytecode is written to a folder of its own during the warm-up,
as an installed package has it, whatever the surrounding environment says.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

from benchmarks.measure import ROOT, Row, child_environment, interleaved, main, row

NOTHING = "pass"
HTTP = "import aiohttp"
OFFICIAL = "import lighter"
OURS = (
    "import wrappy",
    "from wrappy import LighterDealer",
    "from wrappy.lighter.ws import WsInfo",
)
CODES = (NOTHING, HTTP, *OURS, OFFICIAL)
HTTP_TARGET = "at most 1.3 x aiohttp (ratio >= 0.77)"
OFFICIAL_TARGET = "under a third (ratio > 3)"


class Imports:
    """Runs imports in fresh processes; notes the processor time of each as well.

    An import waits for nothing, so on a quiet machine both times are the same, and
    on a busy one the processor's is the steadier one.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.processor_ms: dict[str, list[float]] = {code: [] for code in CODES}

    def run(self, code: str) -> float:
        """Return the wall time of a process that runs `code`, milliseconds."""
        used, began = children_s(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code], check=True, cwd=ROOT, env=self._environment
        )
        took = time.perf_counter() - began
        self.processor_ms[code].append((children_s() - used) * 1e3)
        return took * 1e3


def children_s() -> float:
    """Return the processor time of all processes that ended, seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    with tempfile.TemporaryDirectory() as folder:
        environment = child_environment(
            PYTHONPYCACHEPREFIX=folder, PYTHONDONTWRITEBYTECODE=""
        )
        imports = Imports(environment)
        rounds = 1 if quick else 11
        figures = interleaved(
            {code: partial(imports.run, code) for code in CODES}, rounds=rounds
        )
    rows = [row("import", NOTHING, figures, "ms")]
    rows += [row("import", code, figures, "ms") for code in (HTTP, OFFICIAL)]
    for code in OURS:
        rows.append(
            row("import", code, figures, "ms", against=HTTP, target=HTTP_TARGET)
        )
        rows.append(
            row("import", code, figures, "ms", against=OFFICIAL, target=OFFICIAL_TARGET)
        )
    processor = {
        f"{code} (CPU)": used[-rounds:] for code, used in imports.processor_ms.items()
    }
    # The same without the interpreter's own start, which flatters every ratio.
    start = statistics.median(figures[NOTHING])
    net = {
        f"{code} (net)": [max(figure - start, 1e-3) for figure in figures[code]]
        for code in CODES[1:]
    }
    for more, mark in ((net, "(net)"), (processor, "(CPU)")):
        for code in OURS[1:]:
            case, peer = f"{code} {mark}", f"{HTTP} {mark}"
            rows.append(
                row("import", case, more, "ms", against=peer, target=HTTP_TARGET)
            )
    return rows


if __name__ == "__main__":
    main(measure)
