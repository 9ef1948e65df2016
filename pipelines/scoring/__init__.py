"""``wordless score``: log-probabilities of recordings."""
