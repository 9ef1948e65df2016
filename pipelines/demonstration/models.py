"""The models of a run, and what a page can do with them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from lm.model import LanguageModel
from lm.probing.fitted import FittedProbe
from pipelines.demonstration.options import DemoConfig
from pipelines.demonstration.predictions import Predictor
from pipelines.store.run_folder import run_of
from tokenizer.codes import require_same_codebook
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import KINDS, Kind
from vocoder.sampling import Sampling
from vocoder.synthesis import Synthesis, Trained, Unlearned, load_vocoder
from vocoder.vocoder import Vocoder
from wordless.base.devices import choose_device
from wordless.base.errors import InputError
from wordless.base.saved_models import CONFIG
from wordless.base.saved_models import PROBE as PROBE_KIND

T = TypeVar("T")
MISSING = {
    "lm": "It has no language model, so the page shows no surprise and continues no sound.",
    "probe": "It has no probe, so the page names no label.",
    "vocoder": "It has no WaveNet, so sounds are made without learning.",
}  # what a page cannot do without a part of a run
UNREAD = "Its probe reads {}, which its models do not compute, so the page names no label. Copy the whole run again."


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoModels:
    """The parts of a run that are there."""

    tokenizer: Tokenizer
    language_model: LanguageModel | None
    probe: FittedProbe | None
    vocoder: Vocoder | None
    sampling: Sampling  # of the sound
    unread: str = ""  # features that the probe of the run reads and its models do not compute; then probe is None

    @classmethod
    def of_run(cls, settings: DemoConfig) -> "DemoModels":
        """Load every part of the run that the options name; see `of_folder`."""
        return cls.of_folder(
            run_of(settings.model), sampling=settings.sampling, device=str(choose_device(settings.device))
        )

    @classmethod
    def of_folder(cls, own: Path, *, sampling: Sampling, device: str) -> "DemoModels":
        """Load every part of a run's folder ``own`` that is there; only a tokenizer must be.

        A probe that the other parts cannot feed is left out: a copy of a run may lack its language model.

        Raises:
            InputError: a part is damaged, or does not belong to the tokenizer.
        """
        tokenizer = Tokenizer.from_pretrained(own / "tokenizer", device=device)
        model = _if_there(own / "lm", lambda folder: LanguageModel.from_pretrained(folder, device=device))
        if model is not None:
            require_same_codebook(model.format, tokenizer.format, owner=model.name)
        vocoder = _if_there(own / "vocoder", lambda folder: load_vocoder(folder, sampling, device=device))
        if vocoder is not None:
            vocoder.require_tokenizer(tokenizer.finest)
        probe = _if_there(own / PROBE_KIND.part, FittedProbe.from_pretrained)
        fed = probe is None or _feeds(model, probe, tokenizer)
        return cls(
            tokenizer=tokenizer,
            language_model=model,
            probe=probe if fed else None,
            vocoder=vocoder,
            sampling=sampling,
            unread="" if probe is None or fed else probe.description.of,
        )

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
    def predictor(self) -> Predictor | None:
        """The probe with the language model whose states it reads."""
        return None if self.probe is None else Predictor(probe=self.probe, language_model=self.language_model)

    @property
    def missing(self) -> Iterator[str]:
        """Say what the page cannot do, in a line for each part that the run lacks."""
        for part, found in (("lm", self.language_model), ("probe", self.probe), ("vocoder", self.vocoder)):
            if found is None:
                yield UNREAD.format(self.unread) if part == "probe" and self.unread else MISSING[part]

    def synthesis(self, kind: Kind, *, group: str | None = None, seed: int = 0) -> Synthesis:
        """Return the synthesis of a kind of sound; only a learned one has groups."""
        if kind.import_stream is not None:
            sampling = replace(self.sampling, seed=seed)
            return Unlearned(kind.import_stream(), self.tokenizer.finest, sampling, name=kind.title)
        assert self.vocoder is not None, "kinds has no learned one without a vocoder"
        return Trained(self.vocoder, self.tokenizer.finest, replace(self.sampling, seed=seed, group=group))


def _if_there(folder: Path, opened: Callable[[Path], T]) -> T | None:
    return opened(folder) if (folder / CONFIG).is_file() else None


def _feeds(model: LanguageModel | None, probe: FittedProbe, tokenizer: Tokenizer) -> bool:
    """Return whether the models compute the features that a probe reads."""
    try:
        Predictor(probe=probe, language_model=model).require_features(tokenizer.finest.format)
    except InputError:
        return False
    return True
