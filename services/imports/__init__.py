"""Turning what a department already has (a CSV export, a calendar) into events with stable ids."""
