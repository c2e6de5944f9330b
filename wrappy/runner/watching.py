"""Everything that looks at a running bot, opened together: monitor, metrics, alerts."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.runner.alerts import Alerts, AlertSettings, alert_urls
from wrappy.runner.alerts.sending import AppriseNotify
from wrappy.runner.alerts.settings import URLS_VARIABLE
from wrappy.runner.metrics import metrics_of
from wrappy.runner.monitor import EngineWatch, Monitor, MonitorSettings, monitor_token
from wrappy.runner.monitor.settings import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from wrappy.runner.alerts import Notify
    from wrappy.runner.engine.engine import TradingEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What looks at a bot.

    Attributes:
        watch: the looks and the events.
        monitor: None when it is not wanted.
        alerts: None when nobody is to be told.
        token_is_known: whether the environment gave the monitor's token.
    """

    watch: EngineWatch
    monitor: Monitor | None
    alerts: Alerts | None
    token_is_known: bool = False

    @property
    def address(self) -> str:
        """What to tell whoever started the bot; empty without a monitor.

        The token is in it unless they have chosen it themselves: then there is no
        need to show it, and under a service manager it would end up in the journal.
        """
        if self.monitor is None:
            return ""
        return self.monitor.base_url if self.token_is_known else self.monitor.url


@contextlib.asynccontextmanager
async def watch_engine(
    engine: TradingEngine,
    *,
    monitor: MonitorSettings | None = None,
    alerts: AlertSettings | None = None,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Watching]:
    """Open what is wanted before an engine starts, and close it after it has stopped.

        async with watch_engine(engine, monitor=MonitorSettings(enabled=True)) as seen:
            await engine.start()
            ...
            await engine.stop()

    Args:
        engine: not started yet.
        monitor: None, or not enabled, opens no monitor.
        alerts: None tells nobody; nor does it when there is no address.
        environ: has the monitor's token and the addresses of the alerts.

    Raises:
        ConfigError: a setting cannot work, or a library is missing; nothing was sent.
    """
    monitor = monitor or MonitorSettings()
    notify = None if alerts is None or not alerts.enabled else _notify(alerts, environ)
    async with contextlib.AsyncExitStack() as stack:
        if notify is not None:
            stack.callback(notify.close)
        watch = EngineWatch(engine, every_s=monitor.every_s)
        await stack.enter_async_context(watch)
        seen = told = None
        if monitor.enabled:
            seen = Monitor(
                watch, monitor, token=monitor_token(environ), metrics=metrics_of(watch)
            )
            await stack.enter_async_context(seen)
        if alerts is not None and notify is not None:
            told = await stack.enter_async_context(_alerts(watch, alerts, notify))
        yield Watching(
            watch=watch,
            monitor=seen,
            alerts=told,
            token_is_known=bool(environ.get(TOKEN_VARIABLE)),
        )


def _notify(
    settings: AlertSettings, environ: Mapping[str, str]
) -> AppriseNotify | None:
    urls = alert_urls(settings, environ)
    if urls:
        return AppriseNotify(urls)
    if settings.urls_file is not None:
        raise ConfigError(
            f"alerts.urls_file: {settings.urls_file} has no address, and "
            f"{URLS_VARIABLE} is not set"
        )
    return None


def _alerts(watch: EngineWatch, settings: AlertSettings, notify: Notify) -> Alerts:
    return Alerts(watch, watch.events, settings, notify)
