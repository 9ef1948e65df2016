"""Plugins: what a run can do beyond codes, a language model, probes and sound. `table` lists them."""
