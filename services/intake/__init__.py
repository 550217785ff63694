"""Every event's one way into the book: doors, decisions, ledger, stream."""
