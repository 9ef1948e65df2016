"""Presets of options; a package, so that Hydra finds it once installed."""
