"""YAML values of every command; a package, so that Hydra finds it once installed."""
