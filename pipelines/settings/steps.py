"""How many steps trainings take where `fit.steps` is null: they follow from the recordings.

The defaults of the options' dataclasses are the steps for up to `REFERENCE_SECONDS` of training recordings. More
recordings are read as often as these steps read so many (`wordless.training.FitConfig.followed`): a step that reads
more sound counts for more. So trainings of different kinds keep their relative processor time, however many recordings
there are and however long these are. The tokenizer's steps follow from what its sample of patches can hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np

from pipelines.methods.methods_table import BackbonesOfRun
from pipelines.stages.stage_options import LanguageModelSettings, TokenizerSettings, TrainingSettings, VocoderSettings
from wordless.audio.recordings.manifest import Clip
from wordless.training import MOST_STEPS, REFERENCE_SECONDS

FOLLOWING: Mapping[str, TrainingSettings] = {
    "tokenizer": TokenizerSettings(),
    "lm": LanguageModelSettings(),
    "denoising": BackbonesOfRun().denoising,
    "baselines.simclr": BackbonesOfRun().baselines.simclr,
    "baselines.supervised": BackbonesOfRun().baselines.supervised,
    "vocoder": VocoderSettings(),
}
OF_ALL_SOUND = ("lm", "denoising", "baselines.simclr")  # that also learn from recordings without labels
NOTE = (
    "null: {least:,}, or for more than {minutes:g} minutes of training recordings{held} as many as read them as often "
    "as {least:,} steps read {minutes:g} minutes, at most {most:,}"
)
OF_SAMPLE = ", as far as tokenizer.sample_patches holds them,"
# option -> its default on the command line, and a note for people, as of `RunSettings.defaults`
DEFAULT_STEPS: Mapping[str, tuple[object, str]] = {
    f"{name}.fit.steps": (
        None,
        NOTE.format(
            least=of.fit.steps,
            minutes=REFERENCE_SECONDS / 60,
            most=MOST_STEPS,
            held=OF_SAMPLE if name == "tokenizer" else "",
        ),
    )
    for name, of in FOLLOWING.items()
}


def fill_in_steps(values: dict[str, Any]) -> None:
    """Replace steps that are null in a composed config by the least number, from which `following` begins."""
    for name, usual in FOLLOWING.items():
        fit = reduce(getitem, name.split("."), values)["fit"]
        if fit["steps"] is None:
            fit.update(steps=usual.fit.steps, follows=True)


def following(
    groups: Mapping[str, TrainingSettings], train: Sequence[Clip], unlabelled: Sequence[Clip], *, frame_seconds: float
) -> dict[str, TrainingSettings]:
    """Return those of the groups of options whose steps follow, with the steps that their recordings need."""
    found = dict[str, TrainingSettings]()
    if not any(group.fit.follows for group in groups.values()):
        return found
    own, more = (np.array([clip.seconds for clip in clips], np.float64) for clips in (train, unlabelled))
    for name, group in groups.items():
        if group.fit.follows:
            seconds = np.concatenate([own, more]) if name in OF_ALL_SOUND else own
            per_step = group.sound_per_step(FOLLOWING[name], seconds, frame_seconds)
            read = min(float(seconds.sum()), group.most_seconds(frame_seconds))
            found[name] = replace(group, fit=group.fit.followed(read, per_step=per_step))
    return found
