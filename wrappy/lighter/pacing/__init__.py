"""How fast: request budgets, one process's or several's, and an account's allowance."""
