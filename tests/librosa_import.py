"""Import librosa's pitch module under the lock of `foundation.compiling`, for the server of `tests.killing`."""

from foundation.compiling import importing

with importing("librosa.core.pitch"):
    import librosa.core.pitch  # noqa: F401
