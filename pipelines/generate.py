"""``wordless generate``: a language model continues a prompt, or speaks from silence."""

import math
from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_kind
from pipelines.store.run_folder import part_of, vocoder_of
from pipelines.store.work_folder import require_new
from vocoder.kinds.kind import Kind
from vocoder.kinds.table import BY_KEY, CHOICES
from vocoder.sampling import EngineChoice, Sampling
from wordless.base.configuration import build, match_choice
from wordless.base.devices import Device
from wordless.base.errors import InputError
from wordless.base.ranges import require

NONE = "none"  # in place of a kind of sound: only codes


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Options of ``wordless generate``."""

    model: Path  # folder of a run
    output: Path  # a new folder, or a .wav file for a single sample
    prompt: Path | None  # a recording to continue; null: start from nothing
    include_prompt: bool  # let the sounds begin with the prompt itself
    seconds: float  # of new sound
    num_samples: int
    temperature: float  # of the language model
    top_k: int
    top_p: float
    max_repeats: int
    seed: int
    synthesis: str  # key of a kind of sound, or none: codes only
    vocoder_temperature: float
    postfilter: float  # strength of WaveNet's post-filter
    postfilter_passes: int
    group: str | None  # voice; null: the average
    device: Device
    engine: EngineChoice

    def __post_init__(self) -> None:
        rule = "ask for more than 0 seconds of new sound"
        require(0 < self.seconds < math.inf, "seconds", self.seconds, rule)
        require(self.num_samples >= 1, "num_samples", self.num_samples, "ask for at least 1")
        match_choice((*CHOICES, NONE), self.synthesis, option="synthesis")
        temperature = self.vocoder_temperature
        require(0 <= temperature < math.inf, "vocoder_temperature", temperature, "choose 0 or more, 1 as learned")
        _ = self.sampling  # refuses values that are out of range
        require_kind(self.output, (".wav",), possible="a new folder, or for a single sample a file ending in .wav")
        if self.single and self.num_samples > 1:
            raise InputError(
                f"output={self.output} is one sound, but num_samples is {self.num_samples}; choose num_samples=1, or "
                "name a folder"
            )
        if self.single and self.kind is None:
            raise InputError(
                f"output={self.output} is a sound, but synthesis=none makes codes alone; choose "
                f"{' or '.join(f'synthesis={key}' for key in CHOICES)}, or name a folder"
            )
        if self.kind is None and self.group is not None:
            raise InputError(f"group={self.group}, but synthesis=none makes no sound; leave one of them out")

    @property
    def single(self) -> bool:
        """Whether the output is one file."""
        return self.output.suffix.lower() == ".wav"

    @property
    def kind(self) -> Kind | None:
        """The kind of sound to make; None: only codes."""
        return BY_KEY.get(self.synthesis)

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound; the language model has its own."""
        return Sampling(
            temperature=self.vocoder_temperature,
            seed=self.seed,
            postfilter=self.postfilter,
            postfilter_passes=self.postfilter_passes,
            engine=self.engine,
            group=self.group,
        )


def generate(config: dict[str, object]) -> None:
    """Prompt -> codes -> language model -> vocoder; ends with WAV files and codes.parquet."""
    settings = build(GenerateConfig, config, name="")
    for part in ("tokenizer", "lm"):
        part_of(settings.model, part)
    if settings.kind is not None:
        vocoder_of(settings.model, settings.kind)
    if settings.prompt is not None and not settings.prompt.is_file():
        raise InputError(f"prompt={settings.prompt} is no file; name a recording, or none: prompt=null")
    require_new(settings.output)
    from pipelines.jobs.generate import generate_sounds  # seconds of imports, which a mistake need not wait for

    generate_sounds(settings)


main = command("generate", generate, paths=frozenset({"model", "prompt", "output"}))

if __name__ == "__main__":
    main()
