"""Generated sounds of a language model: continuations of clips and unprompted sounds, at several temperatures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from audio.waveform import Waveform
from lm.diversity import diversity
from lm.model import LanguageModel
from lm.sampling import Sampling
from pipelines.store.session import Session
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt, joined_sound
from vocoder.judging.metrics import code_agreement, sound_levels
from vocoder.synthesis import Synthesis

CONTINUATION, UNCONDITIONAL = "continuation", "unconditional"


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The requested sounds."""

    prompts: Sequence[Prompt]
    groups: Sequence[str | None]  # voice of each prompt
    seconds: float  # of new sound
    temperatures: Sequence[float]
    continuations: int  # of each prompt at each temperature
    unconditional: int  # unprompted sounds, at each temperature
    top_k: int
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Said:
    """One generated sound."""

    kind: str
    file: str
    clip: int | None  # index of the prompt
    temperature: float
    prompt: Prompt | None
    group: str | None
    codes: Codes  # without the prompt


def language_sounds(
    session: Session, folder: Path, tokenizer: Tokenizer, synthesis: Synthesis, model_folder: Path, asked: Asked
) -> dict[str, object]:
    """Write WAV files into ``folder``; return a row for each (``said``), and their diversity (``diversity``)."""
    model = LanguageModel.from_pretrained(model_folder, device=str(session.gang.device))
    said = list(chain.from_iterable(_drawn(model, asked, temperature) for temperature in asked.temperatures))
    if not said:
        return {}
    with session.terminal.working("generating continuations", 1, "samples") as progress:
        new = synthesis.sounds(
            [one.codes for one in said],
            [one.group for one in said],
            prompts=[one.prompt for one in said],
            progress=progress.advance_to,
        )
    sounds = [
        joined_sound(one.prompt.waveform, more) if one.prompt else more for one, more in zip(said, new, strict=True)
    ]
    for one, sound in zip(said, sounds, strict=True):
        sound.write(folder / one.file)
    heard = [_heard_again(tokenizer, one, sound) for one, sound in zip(said, sounds, strict=True)]
    return {
        "said": [_about(*each) for each in zip(said, new, heard, strict=True)],
        "diversity": _diversity(model, said, heard),
    }


def _drawn(model: LanguageModel, asked: Asked, temperature: float) -> list[_Said]:
    """Generate the codes of all sounds of one temperature."""
    sampling = Sampling(temperature=temperature, top_k=asked.top_k)
    places: list[tuple[int | None, int]] = [
        *((clip, number) for clip in range(len(asked.prompts)) for number in range(asked.continuations)),
        *((None, number) for number in range(asked.unconditional)),
    ]
    prompts = [None if clip is None else asked.prompts[clip] for clip, _ in places]
    drawn = model.generate_batch(
        [prompt.codes if prompt else None for prompt in prompts],
        seconds=asked.seconds,
        sampling=sampling,
        seed=asked.seed,
    )
    return [
        _Said(
            kind=UNCONDITIONAL if clip is None else CONTINUATION,
            file=f"{UNCONDITIONAL if clip is None else f'{clip}_{CONTINUATION}'}_{temperature:g}_{number}.wav",
            clip=clip,
            temperature=temperature,
            prompt=prompt,
            group=None if clip is None else asked.groups[clip],
            codes=codes,
        )
        for (clip, number), prompt, codes in zip(places, prompts, drawn, strict=True)
    ]


def _heard_again(tokenizer: Tokenizer, said: _Said, sound: Waveform) -> Codes:
    """Encode the new part of a sound again."""
    codes = tokenizer.encode(sound)
    start = len(said.prompt.codes.values) if said.prompt else 0
    return codes.crop(start, start + len(said.codes.values))


def _about(said: _Said, new: Waveform, heard: Codes) -> dict[str, object]:
    """Describe one sound, with the figures of its new part."""
    prompt = {"prompt_seconds": said.prompt.waveform.seconds} if said.prompt else {}
    agreement = {"code_agreement": code_agreement(said.codes, heard)} if len(heard.values) else {}
    return {
        "kind": said.kind,
        "file": said.file,
        "clip": said.clip,
        "temperature": said.temperature,
        "figures": {**prompt, **agreement, **asdict(sound_levels(new))},
    }


def _diversity(model: LanguageModel, said: Sequence[_Said], heard: Sequence[Codes]) -> list[dict[str, object]]:
    """Compute the diversity of the sounds of each kind and temperature."""
    rows: list[dict[str, object]] = []
    for kind, temperature in dict.fromkeys((one.kind, one.temperature) for one in said):
        those = [number for number, one in enumerate(said) if (one.kind, one.temperature) == (kind, temperature)]
        prompts = [prompt.codes if (prompt := said[number].prompt) else None for number in those]
        new, again = [said[number].codes for number in those], [heard[number] for number in those]
        figures = diversity(model, prompts, new, again)
        rows.append({"of": kind, "temperature": temperature, "sounds": len(those), **figures})
    return rows
