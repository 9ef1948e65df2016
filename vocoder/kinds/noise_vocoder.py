"""The noise vocoder: noise in the spectrum that codes mean, a whisper."""

from vocoder.kinds.kind import Kind, Stream


def _import_stream() -> Stream:
    from vocoder.unlearned.noise_vocoder import stream

    return stream


NOISE_VOCODER = Kind(
    key="noise_vocoder",
    title="noise vocoder",
    explanation="The noise vocoder gives noise the spectrum of the codes.",
    caveat="Noise has no voice. Where noise is recognised as often, label accuracy measures the codes; "
    "pitch and voicing measure the voice.",
    marker="x",
    import_stream=_import_stream,
    version=1,
)
