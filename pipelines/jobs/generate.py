"""The work of ``wordless generate``, once its options are checked."""

from pathlib import Path

from lm.generation import Sampling
from lm.model import LanguageModel
from pipelines.commandline.outputs import new_folder
from pipelines.speech import GenerateConfig
from pipelines.store.run_folder import open_synthesis, part_of
from tokenizer.codes import Codes, join_codes, require_same_codebook
from tokenizer.parquet import CodedClip, write_shard
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt, joined_sound
from vocoder.synthesis import speaking
from wordless.audio.reading import read
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError
from wordless.base.machine import choose_device
from wordless.base.progress import Terminal
from wordless.base.text import counted


def sample_name(number: int) -> str:
    """Return the file name of a generated sound, from which the random numbers of its vocoder follow."""
    return f"sample_{number}.wav"


def generate_sounds(settings: GenerateConfig) -> None:
    """Generate codes, decode them to sound, and write both: all files or none."""
    terminal, output = Terminal(), settings.output
    codes, sounds = _generated(settings, terminal)
    if settings.single:
        sounds[0].write(output)
    else:
        names = [sample_name(number) for number in range(len(codes))]
        with new_folder(output) as folder:
            for name, sound in zip(names, sounds, strict=False):
                sound.write(folder / name)
            rows = [CodedClip(path=name, codes=own, split="test") for name, own in zip(names, codes, strict=True)]
            write_shard(folder / "codes.parquet", rows, codes[0].format)
    terminal.say(f"{counted(len(codes), 'sample')}: {output}")


def _generated(settings: GenerateConfig, terminal: Terminal) -> tuple[list[Codes], list[Waveform]]:
    """Generate codes, and their sounds where these are wanted, after the prompt where it is to be included."""
    sampling = Sampling(temperature=settings.temperature, top_k=settings.top_k)
    device, kind, count = str(choose_device(settings.device)), settings.kind, settings.num_samples
    tokenizer = Tokenizer.from_pretrained(part_of(settings.model, "tokenizer"), device=device)
    synthesis = (
        open_synthesis(settings.model, tokenizer.finest, kind, settings.sampling, device=device) if kind else None
    )
    prompt = _prompt(settings.prompt, tokenizer)
    model = LanguageModel.from_pretrained(part_of(settings.model, "lm"), device=device)
    require_same_codebook(model.format, tokenizer.format, owner=model.name)
    terminal.say(f"generating {count} times {settings.seconds:g} s of codes")
    prompts = [prompt.codes if prompt else None] * count
    codes, sounds = model.generate_batch(prompts, seconds=settings.seconds, sampling=sampling, seed=settings.seed), []
    if synthesis:
        total, past = max(round(sum(clip.seconds for clip in codes)), 1), [prompt] * count
        with speaking([synthesis], terminal.say), terminal.working("decoding", total, "s of sound") as progress:
            sounds = synthesis.sounds(
                codes,
                [None] * count,
                names=[sample_name(number) for number in range(count)],
                prompts=past,
                progress=lambda done, steps: progress.advance_to(total * done // max(steps, 1)),
            )
    if prompt is not None and settings.include_prompt:
        codes = [join_codes(prompt.codes, more) for more in codes]
        sounds = [joined_sound(prompt.waveform, more) for more in sounds]
    return codes, sounds


def _prompt(path: Path | None, tokenizer: Tokenizer) -> Prompt | None:
    """Encode a prompt and cut its sound to whole codes, of several rates those of the coarsest."""
    if path is None:
        return None
    waveform = read(path, tokenizer.format.sample_rate, channel=tokenizer.front_end.channel)
    codes = tokenizer.encode(waveform)
    steps = codes.num_samples // codes.format.samples_per_code
    if not steps:
        raise InputError(
            f"prompt={path} lasts {codes.seconds:.3f} s, and one code {1 / codes.format.codes_per_second:.3f} s; "
            "name a longer one, or none"
        )
    return Prompt(waveform=waveform, codes=codes).crop(0, steps)
