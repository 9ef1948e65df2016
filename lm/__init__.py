"""A causal GPT over codes, what its hidden states know, and what it says next."""
