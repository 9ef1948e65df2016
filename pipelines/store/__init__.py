"""The store of stage results by the hash of their inputs, and the sessions that make or reuse them."""
