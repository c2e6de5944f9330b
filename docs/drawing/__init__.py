"""What the pictures of the documentation are made with; they are of the examples."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("examples/trend_ladder", "examples/basics", "examples", ""):
    # Examples are programs and no package: their folders are where they look.
    if str(ROOT / folder) not in sys.path:
        sys.path.append(str(ROOT / folder))
