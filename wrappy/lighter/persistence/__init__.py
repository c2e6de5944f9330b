"""What outlives the process: the journal, key locks, order numbers."""
