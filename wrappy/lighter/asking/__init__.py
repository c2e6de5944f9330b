"""Questions by REST: an account's state, looked up and turned into our values."""
