"""Decisions without I/O: plain objects that take `now` and return what to do."""
