"""Reports to look at: one file of HTML each, which needs no network."""

from wrappy.runner.results_page.page import LookAhead, results_page, write_results_page
from wrappy.runner.results_page.sensitivity import (
    Variant,
    fill_model_settings,
    fill_model_variants,
)
from wrappy.runner.results_page.series import MarketTape
from wrappy.runner.results_page.sweep_page import sweep_page, write_sweep_page

__all__ = [
    "LookAhead",
    "MarketTape",
    "Variant",
    "fill_model_settings",
    "fill_model_variants",
    "results_page",
    "sweep_page",
    "write_results_page",
    "write_sweep_page",
]
