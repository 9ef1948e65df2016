"""Import librosa's pitch module under the lock of `wordless.base.compiling`, for the server of `tests.killing`."""

from wordless.base.compiling import importing

with importing("librosa.core.pitch"):
    import librosa.core.pitch  # noqa: F401
