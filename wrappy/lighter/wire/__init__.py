"""The way to the exchange: connections, doors for signed transactions, tokens."""
