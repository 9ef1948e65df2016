"""The table of all kinds of sound, in the order in which figures list them. To add a kind, add a line to it."""

from vocoder.kinds.griffin_lim import GRIFFIN_LIM
from vocoder.kinds.kind import Kind
from vocoder.kinds.noise_vocoder import NOISE_VOCODER
from vocoder.kinds.wavenet import WAVENET

KINDS: tuple[Kind, ...] = (
    NOISE_VOCODER,
    GRIFFIN_LIM,
    WAVENET,
)
BY_KEY = {kind.key: kind for kind in KINDS}
UNLEARNED = tuple(kind for kind in KINDS if not kind.learned)
CHOICES = tuple(kind.key for kind in reversed(KINDS))  # of synthesis=..., the best sound first
ORIGINAL = "original"  # the recording, beside which all kinds are judged
JUDGED_KINDS = (ORIGINAL, *BY_KEY)
