"""Messages to a person when a bot needs one; away from the trading."""

from wrappy.runner.alerts.gate import AlertGate
from wrappy.runner.alerts.rules import Alert, AlertRules
from wrappy.runner.alerts.settings import AlertSettings, alert_urls
from wrappy.runner.alerts.watcher import Alerts, Notify

__all__ = [
    "Alert",
    "AlertGate",
    "AlertRules",
    "AlertSettings",
    "Alerts",
    "Notify",
    "alert_urls",
]
