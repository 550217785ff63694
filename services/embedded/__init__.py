"""The two real engines on this machine, out of PyPI wheels, under one data directory."""
