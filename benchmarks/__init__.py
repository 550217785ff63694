"""How fast the book is, with its peers measured beside it in the same run: `python -m benchmarks`."""
