"""The language model of codes: a causal GPT, probes of its hidden states, and generation."""

# Python runs this file before any other of the package. So the table of kinds is there for whoever has the class, also
# for a process that reads a pickled model.
from lm.model import LanguageModel as LanguageModel
