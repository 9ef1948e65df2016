"""Language models of samples."""
