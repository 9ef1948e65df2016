"""``wordless find``: places in recordings that sound like a query."""
