"""What a dealer can be asked for: orders of each kind, controls, margin."""
