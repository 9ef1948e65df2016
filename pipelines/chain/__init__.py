"""The order in which a run makes its stages."""
