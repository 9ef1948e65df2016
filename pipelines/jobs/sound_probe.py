"""A probe of a finished run on new sound: what `wordless predict`, `Run.predict` and the page of `wordless demo` use.

A run keeps the probes of all methods whose vectors follow from its own folder::

    probe/                   the probe that `wordless embed` and `wordless demo` read, and `LIST`, the list of all
    probe/log_mel/           the probe of another method
    sound --views--> vectors of the method (dim,) --FittedProbe--> a score for each class
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from lm.model import LanguageModel, layer_features
from lm.probing.probe import FittedProbe, ProbeDescription, VectorRecipe
from lm.probing.vectors import ALL_POOLINGS, average, bags_of_codes
from pipelines.backbones.features_of_backbones import denoising_vectors
from pipelines.methods.methods_table import METHODS
from pipelines.stages.features import (
    BAG_OF_CODES,
    FRAMES,
    bottleneck_vectors,
    frame_vectors,
    log_mel_vectors,
)
from pipelines.store.store import write_json
from pipelines.store.stored_features import GPT_METHOD, MEAN_KEPT, WITH_INPUT, method_of_key, pooling_of, stacked_rows
from tokenizer.codes import Codes, require_same_codebook
from tokenizer.encoder import Encoder, encode
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.levels import trim_ends
from wordless.audio.reading import resample_blocks
from wordless.audio.recordings.manifest import Clip
from wordless.audio.views import View, fixed_augmentations
from wordless.audio.waveform import Waveform, skip_samples
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError
from wordless.base.saved_models import CONFIG, PROBE

LIST = "methods.json"  # in the folder of the probes
AUTO = "auto"
SOUNDS_AT_ONCE = 32
# method -> the folder of a run that makes its vectors, and the method whose vectors may stand beside them
MADE_BY: Mapping[str, tuple[str, str]] = {
    "log_mel": ("tokenizer", ""),
    "bottleneck": ("tokenizer", ""),
    "mfcc": ("tokenizer", ""),
    "chroma": ("tokenizer", ""),
    BAG_OF_CODES: ("tokenizer", ""),
    GPT_METHOD: ("lm", BAG_OF_CODES),
    **{name: (name, each.input or "") for name, each in METHODS.items() if each.of_sound},
}


@dataclass(frozen=True, kw_only=True)
class KeptMethod:
    """A method that a run probed."""

    method: str
    validation: float  # accuracy, or mean average precision, by which methods are preferred
    folder: str | None  # of its probe, in the folder of the probes; None: networks of the store make its vectors


@dataclass(frozen=True, kw_only=True)
class KeptProbes:
    """The probes that a run keeps."""

    methods: tuple[KeptMethod, ...]  # the best of validation first

    def write(self, folder: Path) -> None:
        write_json(folder / LIST, {"methods": [asdict(each) for each in self.methods]})

    @classmethod
    def of_run(cls, run: Path) -> "KeptProbes":
        """Read the list of a run; refuse a run that keeps no probes."""
        try:
            found = json.loads((run / PROBE.part / LIST).read_text())
            return cls(methods=tuple(KeptMethod(**each) for each in found["methods"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            rule = "it keeps no probes that predict: name a fine-tuned model, or a run with a probe and one fold"
            raise InputError(option="model", value=run, rule=rule) from error

    def choose(self, method: str) -> tuple[KeptMethod, str]:
        """Return the method of this name, or the best on validation; and what to know of the choice."""
        usable = [each for each in self.methods if each.folder is not None]
        if method != AUTO:
            for each in usable:
                if each.method == method:
                    return each, each.method
        names = ", ".join(each.method for each in usable)
        if method != AUTO or not usable:
            known = any(each.method == method for each in self.methods) or not usable
            why = "its network is in the store alone" if known else "the run did not probe it"
            rule = f"{why}: choose {names or 'another run'}" + (" or auto" if names else "")
            raise InputError(option="method", value=method, rule=rule)
        chosen, first = usable[0], self.methods[0]
        told = f"{chosen.method}, of validation {chosen.validation:.3f}"
        if first.validation > chosen.validation:
            told += f" ({first.method}, of {first.validation:.3f}, needs a network of the store)"
        return chosen, told


@dataclass(frozen=True, slots=True)
class SoundView(View):
    """A view of sound that `read` gives at any rate, of as many samples as the clip says."""

    read: Callable[[int], Iterator[FloatArray]] = lambda rate: iter(())

    def blocks(self, root: Path, sample_rate: int) -> Iterator[FloatArray]:
        return skip_samples(self.read(round(sample_rate * self.change.rate)), self._skipped(sample_rate))

    @classmethod
    def of(cls, sound: Waveform) -> "SoundView":
        """Make a view of sound in memory."""
        clip = Clip(path="sound", num_samples=len(sound.samples), sample_rate=sound.sample_rate)
        return cls(clip, read=partial(resample_blocks, [sound.samples], sound.sample_rate))


@dataclass(frozen=True, kw_only=True)
class SoundProbe:
    """A probe in the folder of a run, and the models that make its vectors, loaded once in each process."""

    run: Path
    folder: Path  # of the probe
    device: str = "cpu"

    @classmethod
    def of_run(cls, run: Path, method: str = AUTO, *, device: str = "cpu") -> "tuple[SoundProbe, str]":
        """Open the probe of a method, and say what to know of the choice."""
        chosen, told = KeptProbes.of_run(run).choose(method)
        return cls(run=run, folder=run / PROBE.part / (chosen.folder or ""), device=device), told

    @cached_property
    def fitted(self) -> FittedProbe:
        return FittedProbe.from_pretrained(self.folder)

    @property
    def description(self) -> ProbeDescription:
        return self.fitted.description

    @property
    def encoder(self) -> Encoder:
        return Encoder(folder=self.run / "tokenizer", root=Path(), device=self.device)

    @property
    def audio(self) -> SpectrogramConfig:
        return self.encoder.tokenizer.front_end

    @property
    def lacks_models(self) -> bool:
        """Whether the folder has lost the models that make the vectors."""
        part, _ = MADE_BY.get(method_of_key(self.description.of), ("tokenizer", ""))
        return not (self.run / part / CONFIG).is_file()

    def scores(self, sounds: Sequence[Waveform]) -> FloatArray:
        """Compute ``(sounds, classes)`` for whole sounds at any rate; their silent ends are cut off as the clips'."""
        trim_db = self.description.trim_db
        return self.scores_of([SoundView.of(s if trim_db is None else trim_ends(s, trim_db)) for s in sounds])

    def scores_of(self, views: Sequence[View]) -> FloatArray:
        """Compute ``(views, classes)``, averaging the vectors of each over the augmentations of the run."""
        changes, rows = (
            fixed_augmentations(self.description.recipe.vectors.test_time_augmentation, self.audio.dynamic_range),
            list[FloatArray](),
        )
        for start in range(0, len(views), SOUNDS_AT_ONCE):
            some = views[start : start + SOUNDS_AT_ONCE]
            heard = ({"": self._vectors([replace(view, change=change) for view in some])} for change in changes)
            rows.append(average(heard)[""])
        return self.fitted.scores(np.concatenate(rows))

    def answer(self, scores: FloatArray) -> dict[str, float]:
        """Return the score ``(classes,)`` of each class by its name, the highest first."""
        classes = self.description.classes
        return {classes[number]: float(scores[number]) for number in np.argsort(-scores, kind="stable")}

    def _vectors(self, views: Sequence[View]) -> FloatArray:
        """Compute ``(views, dim)`` as the probe reads them, which may be with a network's input beside its layers."""
        key = self.description.of
        method, pooling, alone = method_of_key(key), pooling_of(key), key.replace(WITH_INPUT, "")
        if method not in MADE_BY:
            raise InputError(f"the probe reads {key}, which the models of a run's folder do not compute")
        vectors = self._tensors(method, views)
        if alone not in vectors:
            raise InputError(f"the probe reads {key}, which its models do not compute; copy the whole run")
        if alone == key:
            return vectors[key]
        read = self._tensors(MADE_BY[method][1], views)
        beside = next(of for name, of in read.items() if pooling_of(name) == pooling and MEAN_KEPT not in name)
        return np.hstack([vectors[alone], beside])

    @torch.inference_mode()
    def _tensors(self, method: str, views: Sequence[View]) -> dict[str, FloatArray]:
        """Compute ``(views, dim)`` by key, in the pooling of the probe; the functions are those of the run's stages."""
        recipe, (pooling,), encoder = self._recipe, self._recipe.vectors.poolings, self.encoder
        rate = self.audio.sample_rate
        of_view: dict[str, Callable[..., dict[str, FloatArray]]] = {
            "log_mel": partial(log_mel_vectors, encoder),
            "bottleneck": partial(bottleneck_vectors, encoder),
            **{of: partial(frame_vectors, make(self.audio), of, rate, Path()) for of, make in FRAMES.items()},
        }
        if method in of_view:
            return stacked_rows(of_view[method](view, poolings=[pooling]) for view in views)
        if METHODS[method].of_sound:
            found = denoising_vectors(self.run / method, views, self.audio.absolute, recipe.vectors, device=self.device)
            return {f"{method}/{key}": values for key, values in found.items()}
        codes = [self._codes(view) for view in views]
        if MADE_BY[method][0] == "tokenizer":
            return {f"{method}:{pooling}": np.stack([bags_of_codes(each, [pooling])[pooling] for each in codes])}
        model = _language_model(self.run / "lm", self.device)
        require_same_codebook(model.format, encoder.tokenizer.format, owner=model.name)
        layers = layer_features(model, codes, of=recipe.states, vectors=recipe.vectors)
        return {f"{method}/{key}": values for key, values in layers.items()}

    @property
    def _recipe(self) -> VectorRecipe:
        """The recipe of the probe's vectors, with the states and the pooling that it chose alone."""
        about = self.description
        states = tuple(each for each in about.recipe.states if (each == "inner") == ("inner" in about.of))
        poolings = tuple(each for each in ALL_POOLINGS if each == pooling_of(about.of))
        own = replace(about.recipe.vectors, poolings=poolings)
        return replace(about.recipe, states=states, vectors=own)

    def _codes(self, view: View) -> Codes:
        return encode(self.encoder, [view])[0].codes.finest  # of several rates, which the bag counts


@lru_cache(maxsize=1)
def _language_model(folder: Path, device: str) -> LanguageModel:
    return LanguageModel.from_pretrained(folder, device=device)
