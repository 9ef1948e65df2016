"""Heads: what is predicted from the states of a body. One file for each, and the table of all."""
