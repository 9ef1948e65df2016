"""Backbones in a run and in ``wordless finetune``: a file for each; `pipelines/methods/methods_table.py` lists them."""
