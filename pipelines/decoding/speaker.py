"""The synthesis that ``wordless decode`` and ``wordless generate`` make sound with."""

from pathlib import Path

from foundation.errors import InputError
from pipelines.store.run_folder import vocoder_of
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds.kind import Kind
from vocoder.kinds.wavenet import WAVENET
from vocoder.sampling import Sampling
from vocoder.synthesis import Synthesis


def speaker(model: Path, tokenizer: Tokenizer, kind: Kind, sampling: Sampling, *, device: str) -> Synthesis:
    """Create the synthesis of a run for the chosen kind of sound."""
    if sampling.group is not None and not kind.learned:
        raise InputError(
            f"group={sampling.group}, but {kind.title} knows no groups; leave it out, or choose synthesis={WAVENET.key}"
        )
    folder = vocoder_of(model, kind)
    try:
        return kind.create(tokenizer, sampling, folder=folder, device=device)
    except InputError as error:
        raise InputError(f"model={model}: {error}") from error
