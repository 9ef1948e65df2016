"""The models in the folder of a run, as the page of ``wordless demo`` and published models are loaded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from lm.model import LanguageModel
from pipelines.stages.sound_probe import SoundProbe
from tokenizer.codes import require_same_codebook
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import KINDS, Kind
from vocoder.synthesis import Synthesis, Unlearned, load_vocoder
from vocoder.vocoder import Vocoder
from vocoder.vocoder_options import Sampling
from wordless.base.saved_models import CONFIG
from wordless.base.saved_models import PROBE as PROBE_KIND

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelsOfRun:
    """The parts of a run that are there."""

    tokenizer: Tokenizer
    language_model: LanguageModel | None
    probe: SoundProbe | None
    vocoder: Vocoder | None
    sampling: Sampling  # of the sound

    @classmethod
    def of_folder(cls, own: Path, *, sampling: Sampling, device: str) -> "ModelsOfRun":
        """Load what is there of a run's folder ``own``, but for a probe of the states of a missing language model."""

        def part(name: str, open_part: Callable[[Path], T]) -> T | None:
            return open_part(own / name) if (own / name / CONFIG).is_file() else None

        tokenizer = Tokenizer.from_pretrained(own / "tokenizer", device=device)
        model = part("lm", lambda folder: LanguageModel.from_pretrained(folder, device=device))
        if model is not None:
            require_same_codebook(model.format, tokenizer.format, owner=model.name)
        vocoder = part("vocoder", lambda folder: load_vocoder(folder, sampling, device=device))
        if vocoder is not None:
            vocoder.require_tokenizer(tokenizer.finest)
        probe = part(PROBE_KIND.part, lambda folder: SoundProbe(run=own, folder=folder, device=device))
        if probe is not None and probe.lacks_models:
            probe = None
        return cls(tokenizer=tokenizer, language_model=model, probe=probe, vocoder=vocoder, sampling=sampling)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of sound that the run can make, the learned one first."""
        there = (kind for kind in KINDS if self.vocoder or not kind.learned)
        return tuple(sorted(there, key=lambda of: not of.learned))

    @property
    def groups(self) -> tuple[str, ...]:
        """The voices that WaveNet was trained with."""
        return () if self.vocoder is None else self.vocoder.model.config.groups

    def synthesis(self, kind: Kind, voice: str = "", *, seed: int = 0) -> Synthesis:
        """Return the synthesis of a kind of sound; only a learned one has voices, "" for their average."""
        sampling = replace(self.sampling, seed=seed)
        if kind.import_stream is not None:
            return Synthesis(Unlearned(kind), self.tokenizer, sampling)
        assert self.vocoder is not None, "kinds has no learned one without a vocoder"
        return Synthesis(self.vocoder, self.tokenizer, replace(sampling, group=voice or None))
