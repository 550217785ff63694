"""The command line `relatieboek`."""
