"""What ``wordless generate`` does once its options are known to be sound."""

import shutil
from pathlib import Path

from audio.reading import read
from audio.waveform import Waveform
from foundation.errors import InputError
from foundation.progress import Terminal
from lm.model import LanguageModel
from lm.sampling import Sampling
from pipelines.commandline.devices import choose_device
from pipelines.decoding.continuing import Prompt, after, continued, joined_sound
from pipelines.decoding.generate_options import GenerateConfig
from pipelines.decoding.speaker import Advance, Speaker, missing_mean, speaker, speaking
from pipelines.store.run_folder import part_of
from tokenizer.codes import Codes, join_codes, require_same_codebook
from tokenizer.parquet import CodedClip, write_shard
from tokenizer.tokenizer import Tokenizer


def generate_sounds(settings: GenerateConfig) -> None:
    """Draw codes, make them sound, and write both."""
    terminal = Terminal()
    sampling = Sampling(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        max_repeats=settings.max_repeats,
    )
    device = str(choose_device(settings.device))
    tokenizer = Tokenizer.from_pretrained(part_of(settings.model, "tokenizer"), device=device)
    voice = _voice(settings, tokenizer, device)
    if settings.synthesis == "griffin_lim" and (notice := missing_mean(tokenizer.front_end)):
        terminal.say(notice)
    prompt = _prompt(settings.prompt, tokenizer)
    model = LanguageModel.from_pretrained(part_of(settings.model, "lm"), device=device)
    require_same_codebook(model.format, tokenizer.format, owner=model.name)
    terminal.say(f"generating {settings.num_samples} times {settings.seconds:g} s of codes")
    prompts = [prompt.codes if prompt else None] * settings.num_samples
    codes = model.generate_batch(prompts, seconds=settings.seconds, sampling=sampling, seed=settings.seed)
    with speaking(voice.vocoder if voice else None, tokenizer.front_end, terminal.say):
        sounds = _sounds(prompt, codes, voice, terminal)
    if prompt is not None and settings.include_prompt:
        codes = [join_codes(prompt.codes, more) for more in codes]
        sounds = [joined_sound(prompt.waveform, more) for more in sounds]
    _write(settings, codes, sounds)
    terminal.say(f"{len(codes)} samples: {settings.output}")


def _voice(settings: GenerateConfig, tokenizer: Tokenizer, device: str) -> Speaker | None:
    match settings.synthesis:
        case "none":
            return None
        case kind:
            return speaker(
                settings.model,
                tokenizer,
                kind,
                device=device,
                group=settings.group,
                temperature=settings.vocoder_temperature,
                seed=settings.seed,
                postfilter=settings.postfilter,
                engine=settings.engine,
            )


def _prompt(path: Path | None, tokenizer: Tokenizer) -> Prompt | None:
    """The whole codes of a prompt, and its sound so far: what is less than a code is left out."""
    if path is None:
        return None
    waveform = read(path, tokenizer.config.audio.sample_rate)
    codes = tokenizer.encode(waveform)
    steps = codes.num_samples // codes.format.samples_per_code
    if not steps:
        raise InputError(
            f"prompt={path} lasts {codes.seconds:.3f} s, and one code {1 / codes.format.codes_per_second:.3f} s; "
            "name a longer one, or none"
        )
    return Prompt.beginning(waveform, codes, steps)


def _sounds(prompt: Prompt | None, codes: list[Codes], voice: Speaker | None, terminal: Terminal) -> list[Waveform]:
    """The new sound of each sample; WaveNet goes on from the prompt's own samples, Griffin-Lim from those it makes."""
    if voice is None:
        return []
    total = max(round(sum(clip.seconds for clip in codes)), 1)
    with terminal.working("decoding", total, "s of sound") as progress:
        if voice.vocoder is None:
            return _inverted(prompt, codes, voice, lambda seconds: progress.advance_to(min(int(seconds), total)))
        return continued(
            voice.vocoder,
            voice.tokenizer,
            [prompt] * len(codes),
            codes,
            groups=[voice.group] * len(codes),
            temperature=voice.temperature,
            seed=voice.seed,
            progress=lambda done, steps: progress.advance_to(total * done // max(steps, 1)),
        )


def _inverted(prompt: Prompt | None, codes: list[Codes], voice: Speaker, advance: Advance) -> list[Waveform]:
    if prompt is None:
        return voice.say(codes, [None] * len(codes), advance)
    sounds = voice.say([join_codes(prompt.codes, more) for more in codes], [None] * len(codes), advance)
    return [after(sound, prompt.codes.num_samples) for sound in sounds]


def _write(settings: GenerateConfig, codes: list[Codes], sounds: list[Waveform]) -> None:
    """All files, or none: a killed command leaves a folder of another name, which the next one begins anew."""
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    if settings.single:
        return sounds[0].write(settings.output)
    partial = settings.output.with_name(settings.output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        _write_into(partial, codes, sounds)
        partial.rename(settings.output)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_into(folder: Path, codes: list[Codes], sounds: list[Waveform]) -> None:
    names = [f"sample_{number}.wav" for number in range(len(codes))]
    for name, sound in zip(names, sounds, strict=False):
        sound.write(folder / name)
    rows = [CodedClip(path=name, codes=each, split="test") for name, each in zip(names, codes, strict=True)]
    write_shard(folder / "codes.parquet", rows, codes[0].format)
