"""Import librosa's pitch module under the lock of `foundation.compiling`, for the server of `tests.killing`."""

from foundation.compiling import import_compiled

import_compiled("librosa.core.pitch")
