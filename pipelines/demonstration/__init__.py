"""The work of ``wordless demo``: from a sound to what its page shows, and the page."""
