"""The worlds a strategy can live in."""
