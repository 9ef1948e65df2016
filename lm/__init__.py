"""The language model of codes: a causal GPT, probes of its hidden states, and generation."""
