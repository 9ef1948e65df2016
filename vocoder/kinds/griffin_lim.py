"""Griffin-Lim: sound without learning, whose phases are found step by step."""

from vocoder.kinds.kind import Kind, Stream


def _import_stream() -> Stream:
    from vocoder.unlearned.griffin_lim import stream

    return stream


GRIFFIN_LIM = Kind(
    key="griffin_lim",
    title="Griffin-Lim",
    explanation="Griffin-Lim estimates a sound with the spectrum of the codes.",
    marker="o",
    import_stream=_import_stream,
    played_first=True,
    version=2,
)
