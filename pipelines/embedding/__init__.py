"""``wordless embed``: feature vectors of recordings."""
