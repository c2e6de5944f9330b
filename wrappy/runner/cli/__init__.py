"""The command line: `wrappy` and its commands, one module each."""
