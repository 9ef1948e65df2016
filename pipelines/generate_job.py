"""What ``wordless generate`` does once its options are known to be sound."""

import shutil
from pathlib import Path

from audio.errors import InputError
from audio.waveform import Waveform
from lm.model import LanguageModel
from lm.sampling import Sampling
from pipelines.devices import choose_device
from pipelines.generate_config import GenerateConfig
from pipelines.progress import Terminal
from pipelines.run_folder import part_of
from pipelines.speaker import Speaker, missing_mean, speaker
from pipelines.work_folder import write_wav
from tokenizer.codes import Codes, joined, require_same_codebook
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
    if settings.synthesis == "griffin_lim" and (notice := missing_mean(tokenizer)):
        terminal.say(notice)
    prompt = _prompt(settings.prompt, tokenizer)
    model = LanguageModel.from_pretrained(part_of(settings.model, "lm"), device=device)
    require_same_codebook(model.format, tokenizer.format, owner=model.name)
    terminal.say(f"generating {settings.num_samples} times {settings.seconds:g} s of codes")
    prompts = [prompt] * settings.num_samples
    continued = model.generate_batch(prompts, seconds=settings.seconds, sampling=sampling, seed=settings.seed)
    whole = [more if prompt is None else joined(prompt, more) for more in continued]
    sounds = _sounds(whole, voice, terminal)
    if prompt is not None and not settings.include_prompt:
        whole, sounds = continued, [_after(sound, prompt.num_samples) for sound in sounds]
    _write(settings, whole, sounds)
    terminal.say(f"{len(whole)} samples: {settings.output}")


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
            )


def _prompt(path: Path | None, tokenizer: Tokenizer) -> Codes | None:
    """The whole codes of a prompt: the rest of its last time step is padding, which is no sound to go on from."""
    if path is None:
        return None
    codes = tokenizer.encode_file(path)
    steps = codes.num_samples // codes.format.samples_per_code
    if not steps:
        raise InputError(
            f"prompt={path} lasts {codes.seconds:.3f} s, and one code {1 / codes.format.codes_per_second:.3f} s; "
            "name a longer one, or none"
        )
    return codes.crop(0, steps)


def _sounds(codes: list[Codes], voice: Speaker | None, terminal: Terminal) -> list[Waveform]:
    if voice is None:
        return []
    total = sum(clip.seconds for clip in codes)
    with terminal.working("decoding", max(round(total), 1), "s of sound") as progress:
        return voice.say(codes, [None] * len(codes), lambda seconds: progress.advance_to(int(seconds)))


def _after(sound: Waveform, start: int) -> Waveform:
    return Waveform(samples=sound.samples[start:], sample_rate=sound.sample_rate)


def _write(settings: GenerateConfig, codes: list[Codes], sounds: list[Waveform]) -> None:
    """All files, or none: a killed command leaves a folder of another name, which the next one begins anew."""
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    if settings.single:
        return write_wav(sounds[0], settings.output)
    partial = settings.output.with_name(settings.output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    names = [f"sample_{number}.wav" for number in range(len(codes))]
    for name, sound in zip(names, sounds, strict=False):
        sound.write(partial / name)
    rows = [CodedClip(path=name, codes=each, split="test") for name, each in zip(names, codes, strict=True)]
    write_shard(partial / "codes.parquet", rows, codes[0].format)
    partial.rename(settings.output)
