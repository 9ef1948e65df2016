"""Backbones in a run and in ``wordless finetune``: a file for the facts of each, and the table of all."""
