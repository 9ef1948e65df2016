"""``results.json``: the figures of a run, and the records that the report reads."""
