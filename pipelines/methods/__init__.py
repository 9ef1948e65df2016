"""The methods of the comparison: one file for each, and one table of all."""
