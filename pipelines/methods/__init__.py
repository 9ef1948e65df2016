"""The methods that a comparison has: what is known of each, and the table of all."""
