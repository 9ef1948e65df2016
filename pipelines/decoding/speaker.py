"""The synthesis that ``wordless decode`` and ``wordless generate`` make sound with."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from foundation.errors import InputError
from pipelines.store.run_folder import vocoder_of
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds.kind import Kind
from vocoder.kinds.wavenet import WAVENET
from vocoder.sampling import Sampling
from vocoder.synthesis import Synthesis

NAMED = 5  # groups that a notice names


def speaker(model: Path, tokenizer: Tokenizer, kind: Kind, sampling: Sampling, *, device: str) -> Synthesis:
    """The synthesis of a run that makes the chosen kind of sound.

    Raises:
        InputError: the run has no vocoder for it, or one that was trained without the group.
    """
    if sampling.group is not None and not kind.learned:
        raise InputError(
            f"group={sampling.group}, but {kind.title} knows no groups; leave it out, or choose synthesis={WAVENET.key}"
        )
    folder = vocoder_of(model, kind)
    try:
        return kind.create(tokenizer, sampling, folder=folder, device=device)
    except InputError as error:
        raise InputError(f"model={model}: {error}") from error


def unknown_groups(synthesis: Synthesis, groups: Iterable[str | None]) -> str | None:
    """What to tell before clips of some groups sound: whose voices the vocoder does not know; None: nothing."""
    known, asked = synthesis.groups, set(groups)
    if not known or not asked:
        return None
    if asked == {None}:
        return (
            "the codes name no group: the average of the vocoder's voices speaks; "
            f"group=... chooses one of {_some(known)}"
        )
    strange = sorted(group for group in asked if group is not None and group not in known)
    if not strange:
        return None
    return f"the vocoder was not trained on {_some(strange)}: the average of its voices speaks instead"


def _some(groups: Sequence[str]) -> str:
    """The first of some groups, and how many more there are."""
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return ", ".join(groups[:NAMED]) + more
