"""What a browser shows: the report of a run, the comparison of a sweep, and their charts and words."""
