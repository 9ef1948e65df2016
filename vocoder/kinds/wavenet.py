"""WaveNet: sound from the network that a run has trained on its own recordings."""

from vocoder.kinds.kind import Kind

WAVENET = Kind(
    key="wavenet",
    title="WaveNet",
    explanation="WaveNet generates the samples.",
    marker="D",
    import_stream=None,
    played_first=True,
    version=1,
)
