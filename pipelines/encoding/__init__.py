"""``wordless encode``: recordings to codes."""
