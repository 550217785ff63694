"""The contracts: one module per family, one closed model per event type and version. No I/O, no clock, no state."""
