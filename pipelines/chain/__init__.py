"""The chain of stages of a run, from recordings to a report."""
