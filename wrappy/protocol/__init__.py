"""The exchange's facts as data and pure functions."""
