"""Market metadata: reading `orderBookDetails`, and a table for when it is silent.

The table is a fallback for a moment in which the exchange cannot tell; who sends
orders uses it only after naming the same scales. Source of the table: published
captures of the exchange's metadata (May to September 2026).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ProtocolError, UnknownMarketError
from wrappy.model import Market

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

USDC_ASSET: Final = 3
"""Number of USDC among the assets (official SDK)."""


def _spot(
    name: str, market_id: int, decimals: tuple[int, int], asset_id: int
) -> Market:
    price_decimals, size_decimals = decimals
    return Market(
        f"{name}/USDC",
        market_id,
        price_decimals,
        size_decimals,
        min_quote_amount=10_000_000,
        market_type="spot",
        base_asset_id=asset_id,
        quote_asset_id=USDC_ASSET,
    )


BUNDLED_MARKETS: Final[tuple[Market, ...]] = (
    Market("ETH", 0, 2, 4, 50, 10_000_000),
    Market("BTC", 1, 1, 5, 10, 10_000_000),
    Market("SOL", 2, 3, 3, 50, 10_000_000),
    Market("1000PEPE", 4, 6, 0, 3000, 10_000_000),
    Market("BNB", 25, 4, 2, 2, 10_000_000),
    Market("AAVE", 27, 3, 3, 80, 10_000_000),
    Market("AAPL", 113, 3, 3, 20, 10_000_000),
    replace(_spot("ETH", 2048, (2, 4), 1), min_base_amount=50),
    _spot("LIT", 2049, (4, 2), 2),
    _spot("LINK", 2050, (5, 1), 5),
    _spot("UNI", 2051, (4, 2), 6),
    _spot("AAVE", 2052, (3, 3), 7),
    _spot("SKY", 2053, (6, 0), 8),
    _spot("LDO", 2054, (5, 1), 9),
    # The number of this asset is not published: the next one.
    _spot("XAUT", 2056, (2, 4), 10),
)


MOST_DECIMALS = 18
"""More than any market has, by far."""


def _units(text: Any, decimals: int, field: str) -> int:
    whole, _, part = str(text).partition(".")
    digits = whole + part
    if not (whole and digits.isascii() and digits.isdigit()):
        raise ProtocolError(f"{field}: {text!r} is not a decimal number")
    return int(whole + part[:decimals].ljust(decimals, "0"))


def market_from_details(row: Mapping[str, Any]) -> Market:
    """Return the market that one entry of an `orderBookDetails` list describes.

    Raises:
        ProtocolError: a field is missing or cannot be read.
    """
    try:
        size_decimals = _decimals(row["size_decimals"])
        market = Market(
            symbol=str(row["symbol"]),
            market_id=int(row["market_id"]),
            price_decimals=_decimals(row["price_decimals"]),
            size_decimals=size_decimals,
            min_base_amount=_units(
                row["min_base_amount"], size_decimals, "min_base_amount"
            ),
            min_quote_amount=_units(row["min_quote_amount"], 6, "min_quote_amount"),
            order_quote_limit=_units(row["order_quote_limit"], 6, "order_quote_limit"),
            active=row["status"] == "active",
        )
        if row.get("market_type") == "spot":
            return replace(
                market,
                market_type="spot",
                base_asset_id=int(row["base_asset_id"]),
                quote_asset_id=int(row["quote_asset_id"]),
            )
        return replace(
            market,
            initial_margin_fraction=int(row["default_initial_margin_fraction"]),
            min_initial_margin_fraction=int(row["min_initial_margin_fraction"]),
            maintenance_margin_fraction=int(row["maintenance_margin_fraction"]),
            closeout_margin_fraction=int(row["closeout_margin_fraction"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"orderBookDetails: unreadable market: {error}") from error


def _decimals(value: Any) -> int:
    """Return a number of decimals; a scale of a market is a power of ten of it."""
    number = int(value)
    if not 0 <= number <= MOST_DECIMALS:
        raise ValueError(f"{number} decimals are outside 0..{MOST_DECIMALS}")
    return number


def markets_from_details(body: Mapping[str, Any]) -> tuple[Market, ...]:
    """Return the perpetual and then the spot markets of an `orderBookDetails` answer.

    Raises:
        ProtocolError: it cannot be read.
    """
    return tuple(
        market_from_details(row)
        for name in ("order_book_details", "spot_order_book_details")
        for row in _rows(body.get(name) or [])
    )


def _rows(rows: Any) -> list[Any]:
    if not isinstance(rows, list):
        raise ProtocolError(
            f"orderBookDetails: a {type(rows).__name__} holds no markets"
        )
    return rows


def find_market(
    markets: Iterable[Market],
    *,
    symbol: str | None = None,
    market_id: int | None = None,
) -> Market:
    """Return the market of a symbol or an index.

    Raises:
        UnknownMarketError: nothing fits, or both are given and disagree.
    """
    known = tuple(markets)
    if symbol is None and market_id is None:
        raise UnknownMarketError("symbol: not given; name a market by symbol or index")
    for market in known:
        by_symbol = symbol is None or market.symbol.upper() == symbol.upper()
        by_index = market_id is None or market.market_id == market_id
        if by_symbol and by_index:
            return market
    names = ", ".join(sorted(market.symbol for market in known)) or "none"
    asked = " and ".join(
        f"{field}: {value!r}"
        for field, value in (("symbol", symbol), ("market_index", market_id))
        if value is not None
    )
    raise UnknownMarketError(
        f"{asked} is not a market of this exchange; known: {names}"
    )
