"""Commands, stages, the store, the one training loop and the report: what chains the packages."""
