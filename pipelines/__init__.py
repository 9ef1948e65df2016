"""Commands, stages, the store and the report: what chains the packages."""
