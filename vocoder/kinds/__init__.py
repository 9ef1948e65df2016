"""The kinds of sound that codes become: one file for each kind, and one table that lists them."""
