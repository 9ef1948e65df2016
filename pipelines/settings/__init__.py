"""The options of the whole chain, checked before anything runs."""
