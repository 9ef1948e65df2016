"""Sounds to listen to, with figures and pictures: test clips, their codes as all kinds of sound, and continuations."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from pipelines.stages.decoded import wav_name
from pipelines.stages.language_sounds import language_sounds
from pipelines.stages.playback import Playback, excerpt_row
from pipelines.store.store import Entry, write_json
from tokenizer.codes import Codes
from tokenizer.signals import pictures
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt
from vocoder.judging import code_agreement, log_mel_distance, sound_levels
from vocoder.kinds import BY_KEY, ORIGINAL, WAVENET
from vocoder.synthesis import speaking
from wordless.audio.waveform import Waveform
from wordless.base.files import aside

LISTENING = "listening.json"
PICTURES = "pictures.safetensors"
NOT_IN_KEY = ("judged_clips", "judge", "engine")  # options that do not decide this entry


def listening(playback: Playback, model: Entry | None, rates: Entry | None = None) -> Entry:
    """Make WAV files, their figures and spectrograms; with a language model, also its sounds.

    ``rates`` is the tokenizer of a model of several rates.
    """
    session, config = playback.session, playback.config
    clips = playback.choose_long(config.clips)
    options = {name: value for name, value in asdict(config).items() if name not in NOT_IN_KEY}
    of_rates = {"rates": rates.key} if rates else {}
    recipe = playback.recipe("listening", 10, clips, options, lm=model.key if model else "", **of_rates)

    def make(folder: Path) -> None:
        tokenizer, syntheses = playback.open()
        excerpts = [playback.excerpt(clip, tokenizer) for clip in clips]
        sounds = {ORIGINAL: [excerpt.waveform for excerpt in excerpts]}
        codes = [tokenizer.encode(original) for original in sounds[ORIGINAL]]
        generated: dict[str, object] = {}
        with speaking([*syntheses.values()], lambda notice: session.terminal.say(f"listening {notice}")):
            sounds.update(playback.speak(syntheses, clips, codes, title="generating sound"))
            if model is not None:
                coder = Tokenizer.from_pretrained(rates.folder, device=str(session.gang.device)) if rates else tokenizer
                least = config.prompt_seconds
                prompts = [Prompt.of_excerpt(excerpt, coder, least_seconds=least) for excerpt in excerpts]
                sounds["prompt"] = [prompt.waveform for prompt in prompts]
                voiced = [(clip.name, prompt, clip.group) for prompt, clip in zip(prompts, clips, strict=True)]
                wavenet = syntheses[WAVENET.key]
                generated = language_sounds(session, folder, coder, wavenet, model.folder, voiced, config)
        for kind, waveforms in sounds.items():
            for number, waveform in enumerate(waveforms):
                waveform.write(folder / wav_name(number, kind))
        with aside(folder / PICTURES) as beside:
            save_file(pictures(tokenizer, sounds[ORIGINAL], codes), beside)
        places = [excerpt_row(clip, excerpt) for clip, excerpt in zip(clips, excerpts, strict=True)]
        rows = [
            {**place, "sounds": each} for place, each in zip(places, _figures(sounds, codes, tokenizer), strict=True)
        ]
        write_json(folder / LISTENING, {"clips": rows, "postfilter": recipe.config["postfilter"], **generated})

    files = ["*.wav", PICTURES, LISTENING]
    return session.obtain(recipe, f"{len(clips)} test clips decoded and continued", make, files=files)


def _figures(
    sounds: Mapping[str, Sequence[Waveform]], codes: Sequence[Codes], tokenizer: Tokenizer
) -> list[dict[str, dict[str, float]]]:
    """Measure each sound of each clip: its level, and for decoded kinds the distance from the original."""
    rows = []
    for number, original in enumerate(sounds[ORIGINAL]):
        own = {kind: waveforms[number] for kind, waveforms in sounds.items()}
        figures = {kind: asdict(sound_levels(sound)) for kind, sound in own.items()}
        for kind in BY_KEY:
            figures[kind]["log_mel_distance"] = log_mel_distance(original, own[kind], tokenizer.config.audio)
            figures[kind]["code_agreement"] = code_agreement(codes[number], tokenizer.encode(own[kind]))
        rows.append(figures)
    return rows
