"""``wordless generate``: a language model continues a prompt, or speaks from silence."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.outputs import prepare_output, require_kind
from pipelines.settings.inputs import ModelOptions
from pipelines.store.run_folder import part_of, vocoder_of
from vocoder.kinds import BY_KEY, CHOICES, Kind
from vocoder.options import TEMPERATURE, VOCODER_TEMPERATURE, Sampling, SoundOptions
from wordless.base.errors import InputError
from wordless.base.options import REQUIRED, option
from wordless.base.seeds import MAX_SEED

NONE = "none"  # in place of a kind of sound: only codes


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(ModelOptions, SoundOptions):
    """Options of ``wordless generate``.

    example: wordless generate model=runs/x prompt=a.wav seconds=5 output=more
    """

    output: Path = option(
        REQUIRED, "a new folder (sample_0.wav ..., codes.parquet), or a .wav file for a single sample"
    )
    prompt: Path | None = option(None, "a recording that is continued; null: the GPT also generates the beginning")
    include_prompt: bool = option(
        True, "whether the sounds begin with the prompt; WaveNet then continues the prompt without a click"
    )
    seconds: float = option(5.0, "seconds of new sound, after the prompt", above=0)
    num_samples: int = option(4, "number of sounds", least=1)
    temperature: float = option(0.9, "temperature of the GPT; 0: always the most probable code", least=0)
    top_k: int = option(50, "the GPT draws from this number of most probable codes; 0: all codes", least=0)
    seed: int = option(0, "the same seed gives the same sounds", least=0, most=MAX_SEED)
    synthesis: str = option("wavenet", "what turns codes into sound; none: codes only", choices=(*CHOICES, NONE))
    vocoder_temperature: float = option(TEMPERATURE, VOCODER_TEMPERATURE, least=0)
    group: str | None = option(None, "voice; null: the average voice")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self.output, (".wav",), possible="a new folder, or for a single sample a file ending in .wav")
        rule = f"it is one sound, and num_samples is {self.num_samples}: choose num_samples=1, or name a folder"
        self.refuse_if(self.single and self.num_samples > 1, "output", rule)
        choices = " or ".join(f"synthesis={key}" for key in CHOICES)
        rule = f"it is a sound, and synthesis=none makes codes alone: choose {choices}, or name a folder"
        self.refuse_if(self.single and self.kind is None, "output", rule)

    @property
    def single(self) -> bool:
        return self.output.suffix.lower() == ".wav"

    @property
    def kind(self) -> Kind | None:
        """The kind of sound to make; None: only codes."""
        return BY_KEY.get(self.synthesis)

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound; the language model has its own."""
        return self.sampled(temperature=self.vocoder_temperature, seed=self.seed, group=self.group)


def generate(settings: GenerateConfig) -> tuple[GenerateConfig]:
    """Prompt -> codes -> language model -> vocoder; ends with WAV files and codes.parquet."""
    for part in ("tokenizer", "lm"):
        part_of(settings.model, part)
    if settings.kind is not None:
        vocoder_of(settings.model, settings.kind)
    if settings.prompt is not None and not settings.prompt.is_file():
        raise InputError(f"prompt={settings.prompt} is no file; name a recording, or none: prompt=null")
    prepare_output(settings.output)
    return (settings,)
