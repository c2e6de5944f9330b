"""The stream: the supervised connection and what an overlay makes of its frames."""
