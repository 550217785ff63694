"""Raises, resolves and reopens the contact alerts, and keeps the read model that says which."""
