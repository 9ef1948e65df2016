"""Presets of options, and the options of ``wordless finetune``; a package, so that Hydra finds it once installed."""
