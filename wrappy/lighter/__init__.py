"""The client: dealer, overlay, and the one door each of them uses."""
