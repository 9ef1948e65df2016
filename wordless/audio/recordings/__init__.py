"""Recordings as a corpus: manifests, splits, segments, inspection and the embedded corpus."""
