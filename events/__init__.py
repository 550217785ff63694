"""What happened: contracts, the book (decide, ledger, stream) and proofs. Imports no projections, no services."""
