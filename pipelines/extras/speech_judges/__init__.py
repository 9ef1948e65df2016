"""Models that judge decoded speech, beside the recordings."""
