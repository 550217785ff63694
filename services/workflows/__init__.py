"""Keeps the read model of the workflows, and tells the book what needs a person: alerts and loops."""
