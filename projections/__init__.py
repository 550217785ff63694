"""What we know: one file per read model, one runner for all of them. Imports events only."""
