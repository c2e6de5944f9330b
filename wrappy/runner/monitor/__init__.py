"""Looking at a running bot: a page, JSON and figures; nothing here takes part."""

from wrappy.runner.monitor.engine_watch import EngineWatch
from wrappy.runner.monitor.server import Monitor
from wrappy.runner.monitor.settings import MonitorSettings, monitor_token
from wrappy.runner.monitor.snapshot import (
    Balance,
    Figures,
    MonitorSource,
    Snapshot,
)

__all__ = [
    "Balance",
    "EngineWatch",
    "Figures",
    "Monitor",
    "MonitorSettings",
    "MonitorSource",
    "Snapshot",
    "monitor_token",
]
