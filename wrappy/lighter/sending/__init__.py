"""From what is queued to what became of it: keys, nonces, doubts, receipts."""
