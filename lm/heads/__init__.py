"""Heads: what is predicted from the states of a body. One file for each; `lm.finetuned` has the table of all."""
