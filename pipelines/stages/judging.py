"""Figures of each decoded test clip: its distance from its original, and its own faults."""

from functools import partial
from pathlib import Path

from pipelines.stages.decoded import decoded_paths, sound_of
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.encoder import Encoder
from vocoder.judging.figures import Figures, Original, beside, by_itself
from vocoder.judging.intelligibility import HOW_TO_GET_PESQ, has_pesq
from vocoder.judging.pitch import HOW_TO_GET_PITCH, has_pitch, pitch
from vocoder.kinds.table import BY_KEY, JUDGED_KINDS, ORIGINAL
from vocoder.runaway import RunawayGuard
from vocoder.vocoder import Vocoder

JUDGED = "judged.json"


def judged(session: Session, tokenizer_entry: Entry, vocoder_entry: Entry, decoded_entry: Entry) -> Entry:
    """Measure every sound of `decoded`; the vocoder has the loudness of its training clips."""
    with_pesq, with_pitch = has_pesq(), has_pitch()
    recipe = Recipe(
        stage="judged",
        version=2,
        config={"pesq": with_pesq, "pitch": with_pitch},
        inputs={"tokenizer": tokenizer_entry.key, "decoded": decoded_entry.key},
    )

    def make(folder: Path) -> None:
        if not with_pesq:
            session.terminal.say(f"judged    without PESQ: {HOW_TO_GET_PESQ}")
        if not with_pitch:
            session.terminal.say(f"judged    without pitch: {HOW_TO_GET_PITCH}")
        paths = decoded_paths(decoded_entry)
        numbers = range(len(paths))
        encoder = Encoder(folder=tokenizer_entry.folder, root=decoded_entry.folder)
        guard = Vocoder.from_pretrained(vocoder_entry.folder).guard
        judge = partial(_judge, encoder, guard, with_pesq, with_pitch)
        rows = list(session.each("judging", judge, numbers))
        clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=True)]
        write_json(folder / JUDGED, {"clips": clips})

    return session.obtain(recipe, "decoded test clips judged", make, files=[JUDGED])


def _judge(
    encoder: Encoder, guard: RunawayGuard | None, with_pesq: bool, with_pitch: bool, number: int
) -> dict[str, Figures]:
    """Measure each kind of sound of one clip."""
    sounds = {kind: sound_of(encoder.root, number, kind) for kind in JUDGED_KINDS}
    codes = {kind: encoder.tokenizer.encode(sound) for kind, sound in sounds.items()}
    heard = pitch(sounds[ORIGINAL]) if with_pitch else None
    original = Original(waveform=sounds[ORIGINAL], codes=codes[ORIGINAL], pitch=heard)
    figures = {kind: by_itself(sound, guard) for kind, sound in sounds.items()}
    audio = encoder.tokenizer.config.audio
    for kind in BY_KEY:
        figures[kind] |= beside(original, sounds[kind], codes[kind], audio, with_pesq=with_pesq)
    return figures
