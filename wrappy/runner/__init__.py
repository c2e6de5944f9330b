"""Running strategies and showing what they did."""
