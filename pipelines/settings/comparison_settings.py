"""Options of the comparison, and the folds of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, get_args

from lm.lm_options import States, VectorConfig
from pipelines.methods.method import Method
from pipelines.methods.methods_table import METHODS, ROWS, method_of, own_method, require_features
from tokenizer.tokenizer_options import Assignments
from wordless.audio.recordings.folders import Folder, expand_home, require_folder
from wordless.audio.recordings.manifest import Clips
from wordless.audio.recordings.splits import folds
from wordless.audio.views import ROOM_SECONDS, VOICES, WITHOUT_RATIO, Noise, NoiseWord
from wordless.base.messages import InputError, within
from wordless.base.options import match_choice, option

NOISES = get_args(NoiseWord)
QUICK_FOLDS = 2  # of a quick comparison
MOST_NOISE = 100.0  # dB, of either sign
By = Literal["group", "groups", "fold", "split"]  # basis of the folds; groups: several in each


def _name(folder: Path) -> str:
    """Return the name that the user wrote, of a link, too; "/" has none but itself."""
    return Path(os.path.normpath(folder.absolute())).name or str(folder)


@dataclass(frozen=True, kw_only=True)
class ReadingConfig(VectorConfig):
    states: tuple[States, ...] = option(
        ("residual",),
        "residual: probes read the outputs of the GPT's layers; inner: activations within the layers; or both",
        filled=True,
        distinct=True,
    )
    input: bool = option(
        False,
        "whether a further candidate has the network's input, codes or log-mel, beside all layers side by side "
        "(together in layers)",
    )
    assignments: Assignments = option(
        "hard", "what the bag of codes and the GPTs read: the nearest code, or how near the sound is to each code"
    )

    @property
    def vectors(self) -> VectorConfig:
        return VectorConfig(**{each.name: getattr(self, each.name) for each in fields(VectorConfig)})


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig(ReadingConfig):
    methods: tuple[str, ...] = option(
        ("log_mel", "bottleneck", "bag_of_codes", "gpt", "random_gpt"),
        "what is probed; gpt+simclr: features of both side by side",
        choices=METHODS,
        joined=True,
        filled=True,
    )
    folds: Literal["group", "fold"] | int | None = option(
        None,
        "group or fold: holds out each in turn; a number: as many sets of whole groups, as even as groups allow; null: "
        "the corpus's own split",
    )
    references: tuple[str, ...] | None = option(
        None, "rows that all others are compared with, such as [gpt,simclr] or [supervised_head]; null: the GPT"
    )
    noise_snr: tuple[float, ...] = option(
        (),
        "such as [30,20,10,0]: probes, which are trained without noise, also classify the test clips with noise at "
        "these signal-to-noise ratios in dB; mp3 and room have none",
        least=-MOST_NOISE,
        most=MOST_NOISE,
        distinct=True,
    )
    noise: str | tuple[str, ...] = option(
        "white",
        f"kind of that noise, or a list of kinds: white; babble, the sum of {VOICES} training clips at equal power, "
        "fewer are repeated; a folder, such as recordings/rain, of which each clip has one excerpt; mp3, a file of 32 "
        f"kbit/s; room, in which sound dies away in {ROOM_SECONDS:g} s",
        filled=True,
    )
    features: Mapping[str, Path] | None = option(
        None, "{name: file}: feature vectors of other programs, in .npz, .safetensors or .parquet (docs/compare.md)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, file in (self.features or {}).items():
            rule = f"features.{name} has one vector for each clip: choose 1, or leave the features out"
            self.refuse_if(self.hearings > 1, "hearings", rule)
            rule = f"features.{name} has no vectors of noisy clips: leave noise out, or the features"
            self.refuse_if(self.noises, "noise" if {*self._noises} & {*WITHOUT_RATIO} else "noise_snr", rule)
            require_features(name, file)
        kinds = [*self._noises]
        rule = "there is no noise without ratios: name some, such as compare.noise_snr=[20,10]"
        self.refuse_if({*kinds} - {*WITHOUT_RATIO} and self.noise != "white" and not self.noise_snr, "noise", rule)
        rule = "mp3 and room have no ratio: leave the ratios out, or name another kind of noise, too"
        self.refuse_if(self.noise_snr and not {*kinds} - {*WITHOUT_RATIO}, "noise_snr", rule)
        given = (self.noise,) if isinstance(self.noise, str) else self.noise
        rule = "two kinds of noise have the same name: name each once, and rename a folder that is called like another"
        self.refuse_if(len(kinds) < len(given) or {*self.noise_folders} & {*NOISES}, "noise", rule)
        for folder in self.noise_folders.values():
            words = f"choose {', '.join(NOISES)}, or a folder of recordings"
            try:
                Folder.at(require_folder(str(folder), option="noise")).require_recordings()
            except InputError as error:
                raise InputError(option="noise", value=folder, rule=error.rule, remedy=words) from error
        for method in self.single_methods:
            network = method.kind in ("self_supervised", "supervised", "untrained")
            rule = f"{method.name} has no input that could stand beside its layers: choose false, or leave it out"
            self.refuse_if(self.input and network and method.input is None, "input", rule)
        rows = [row.name for method in self.all_methods for row in (method, method.head) if row]
        for place, name in enumerate(self.references or ()):
            match_choice(tuple(rows), name, option=f"references[{place}]")

    @property
    def _noises(self) -> dict[str, Path | None]:
        """The names of the kinds of noise, and the folder of those that have one."""
        given = (self.noise,) if isinstance(self.noise, str) else self.noise
        folders = (None if each in NOISES else expand_home(each, "noise") for each in given)
        return {_name(folder) if folder else each: folder for each, folder in zip(given, folders, strict=True)}

    @property
    def noise_folders(self) -> dict[str, Path]:
        return {name: folder for name, folder in self._noises.items() if folder is not None}

    @property
    def noises(self) -> tuple[Noise, ...]:
        """What test clips are classified with, beside their sound as it is."""
        return tuple(
            Noise(kind, snr) for kind in self._noises for snr in ((None,) if kind in WITHOUT_RATIO else self.noise_snr)
        )

    @property
    def all_methods(self) -> tuple[Method, ...]:
        """The methods, each once, in the order of the option, then the features that the user brings."""
        for name in {*ROWS} & {*(self.features or {})}:
            rule = "it is the name of a method: give the features another name"
            raise InputError(option="features", value=name, rule=rule)
        named = tuple(method_of(name) for name in dict.fromkeys(self.methods))
        return named + tuple(own_method(name, file) for name, file in (self.features or {}).items())

    @property
    def single_methods(self) -> tuple[Method, ...]:
        """The methods whose features are needed, each once: also those that only stand beside others."""
        return tuple(dict.fromkeys(one for method in self.all_methods for one in method.singles))

    @property
    def by(self) -> By:
        """What is held out in turn."""
        return "groups" if isinstance(self.folds, int) else self.folds or "split"

    def divide(self, manifest: Clips, *, quick: bool, shared_groups: bool = False, seed: int = 0) -> tuple[Clips, ...]:
        """Return the folds of a corpus; without the option ``folds`` a single one, its own split.

        ``shared_groups`` allows a group in several given folds. The ``seed`` draws sets of groups.
        """
        if self.folds is None:
            return (replace(manifest, name="test"),)
        with within("corpus", folds="compare.folds"):
            at_most = QUICK_FOLDS if quick else None
            return folds(manifest, by=self.folds, at_most=at_most, shared_groups=shared_groups, seed=seed)
