"""The models of a run, and what a page can do with them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from lm.layers import layer_features
from lm.model import LanguageModel
from lm.probing.fitted import FittedProbe
from lm.probing.vectors import bags_of_codes
from pipelines.demo import DemoConfig
from pipelines.stages.features import BAG_OF_CODES
from pipelines.store.run_folder import run_of
from pipelines.store.stored_features import GPT, method_of_key, pooling_of, with_input
from tokenizer.codes import Codes, SoftCodes, require_same_codebook
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import KINDS, Kind
from vocoder.options import Sampling
from vocoder.synthesis import Synthesis, Trained, Unlearned, load_vocoder
from vocoder.vocoder import Vocoder
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError
from wordless.base.machine import choose_device
from wordless.base.saved_models import CONFIG
from wordless.base.saved_models import PROBE as PROBE_KIND

T = TypeVar("T")
MISSING = {
    "lm": "It has no language model, so the page shows no surprise and continues no sound.",
    "probe": "It has no probe that its models can feed, so the page names no label.",
    "vocoder": "It has no WaveNet, so sounds are made without learning.",
}  # what a page cannot do without a part of a run


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoModels:
    """The parts of a run that are there."""

    tokenizer: Tokenizer
    language_model: LanguageModel | None
    probe: FittedProbe | None
    vocoder: Vocoder | None
    sampling: Sampling  # of the sound

    @classmethod
    def of_run(cls, settings: DemoConfig) -> "DemoModels":
        """Load every part of the run that the options name; see `of_folder`."""
        device = str(choose_device(settings.device))
        return cls.of_folder(run_of(settings.model), sampling=settings.sampling, device=device)

    @classmethod
    def of_folder(cls, own: Path, *, sampling: Sampling, device: str) -> "DemoModels":
        """Load every part of a run's folder ``own`` that is there; only a tokenizer must be.

        A probe of the states of a language model that is not there is left out.

        Raises:
            InputError: a part is damaged, or does not belong to the tokenizer.
        """

        def part(name: str, open_part: Callable[[Path], T]) -> T | None:
            return open_part(own / name) if (own / name / CONFIG).is_file() else None

        tokenizer = Tokenizer.from_pretrained(own / "tokenizer", device=device)
        model = part("lm", lambda folder: LanguageModel.from_pretrained(folder, device=device))
        if model is not None:
            require_same_codebook(model.format, tokenizer.format, owner=model.name)
        vocoder = part("vocoder", lambda folder: load_vocoder(folder, sampling, device=device))
        if vocoder is not None:
            vocoder.require_tokenizer(tokenizer.finest)
        probe = part(PROBE_KIND.part, FittedProbe.from_pretrained)
        if probe is not None and model is None and method_of_key(probe.description.of) == GPT:
            probe = None
        return cls(tokenizer=tokenizer, language_model=model, probe=probe, vocoder=vocoder, sampling=sampling)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of sound that the run can make, the learned one first."""
        possible = [kind for kind in KINDS if self.vocoder or not kind.learned]
        return tuple(sorted(possible, key=lambda kind: not kind.learned))

    @property
    def groups(self) -> tuple[str, ...]:
        """The voices that WaveNet was trained with."""
        return () if self.vocoder is None else self.vocoder.model.config.groups

    @property
    def missing(self) -> list[str]:
        """What the page cannot do, in a line for each part that the run lacks."""
        parts = {"lm": self.language_model, "probe": self.probe, "vocoder": self.vocoder}
        return [MISSING[part] for part, found in parts.items() if found is None]

    def scores(self, codes: Codes | SoftCodes) -> dict[str, float]:
        """Return the probe's score of each class, the highest first, for codes of the finest rate, as it reads them.

        Raises:
            InputError: the probe reads features that the language model does not compute. A copy of a run may lack the
                language model, or hold that of another run.
        """
        assert self.probe is not None, "a run without a probe names no label"
        about, model = self.probe.description, self.language_model
        counted = bags_of_codes(codes, about.recipe.vectors.poolings)
        bags: dict[str, FloatArray] = {pooling: bag[None] for pooling, bag in counted.items()}
        vectors: dict[str, FloatArray] = {}  # (1, dim) by what the probe may read
        match method_of_key(about.of):
            case "gpt" if model is not None and not model.coarser:
                by_layer = layer_features(model, [codes], of=about.recipe.states, vectors=about.recipe.vectors)
                vectors = {f"{GPT}/{key}": values for key, values in by_layer.items()}
                vectors |= {
                    with_input(key): np.hstack([values, bags[pooling_of(key)]])
                    for key, values in vectors.items()
                    if pooling_of(key) in bags
                }
            case "bag_of_codes":
                vectors = {f"{BAG_OF_CODES}:{pooling}": values for pooling, values in bags.items()}
        if about.of not in vectors:
            raise InputError(f"the probe reads {about.of}, which its models do not compute; copy the whole run")
        scores = self.probe.scores(vectors[about.of])[0]
        return {about.classes[number]: float(scores[number]) for number in np.argsort(-scores, kind="stable")}

    def synthesis(self, kind: Kind, *, group: str | None = None, seed: int = 0) -> Synthesis:
        """Return the synthesis of a kind of sound; only a learned one has groups."""
        if kind.import_stream is not None:
            sampling = replace(self.sampling, seed=seed)
            return Unlearned(kind, self.tokenizer.finest, sampling)
        assert self.vocoder is not None, "kinds has no learned one without a vocoder"
        return Trained(self.vocoder, self.tokenizer.finest, replace(self.sampling, seed=seed, group=group))
