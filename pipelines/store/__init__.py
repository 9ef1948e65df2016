"""Entries by the hash of what made them, and the sessions that make or reuse them."""
