"""The commands of ``wordless``, and the version that is installed."""

from foundation.versions import version_of

COMMANDS = {
    "run": "the whole chain: recordings -> codes -> language model -> vocoder -> report.html",
    "encode": "recordings -> codes (Parquet, or text units that other tools read)",
    "generate": "a language model continues a prompt, or speaks from silence",
    "decode": "codes -> sound",
    "score": "how probable does the language model find recordings? nats, bits per second, perplexity",
    "probe": "what do the representations know? linear probes on labels",
    "finetune": "train a body, pre-trained or not, to predict classes, numbers or text from labelled recordings",
    "predict": "what a fine-tuned model predicts for recordings",
    "report": "draw report.html from the results of a run",
    "store": "what a store holds, and whether it is as it was written: wordless store --verify",
    "doctor": "what is installed, which devices there are, and what to do about what is missing",
    "bench": "speed and memory of a stage, such as: wordless bench encode",
}

MODULES = {"store": "store_listing"}  # of commands whose module has another name


def installed_version() -> str:
    """Version of the installed distribution, or "(not installed)" in a bare checkout."""
    return version_of("wordless") or "(not installed)"
