"""Health of the codebook on validation clips: usage, fidelity of reconstruction, and stability."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.health import measure_health
from tokenizer.options import HealthConfig
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_beginning
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.recordings.selection import choose_evenly
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError
from wordless.base.threads import one_thread

HEALTH = "health.json"


def health(
    session: Session, manifest: Manifest, tokenizer_entry: Entry, codes_entry: Entry, config: HealthConfig, *, seed: int
) -> Entry:
    """Measure the codebook's usage, fidelity and stability on validation clips, and warn of a collapse."""
    numeric = asdict(config)
    del numeric["gate"]  # decides the reaction to a collapse, not the figures
    recipe = Recipe("health", 2, config={**numeric, "seed": seed}, inputs={"codes": codes_entry.key})

    @one_thread()
    def make(folder: Path) -> None:
        tokenizer = Tokenizer.from_pretrained(tokenizer_entry.folder, device=str(session.gang.device))
        held_out = (clip.codes for clip in read_codes(codes_entry.folder)[1] if clip.split == "validation")
        chosen = choose_evenly(manifest.of("validation"), config.max_clips)
        rate = tokenizer.config.audio.sample_rate
        beginnings = partial(_beginnings, manifest, chosen, rate, config.max_seconds)
        write_json(folder / HEALTH, measure_health(tokenizer, held_out, beginnings, config, seed=seed))

    entry = session.obtain(recipe, "codebook health on validation clips", make, files=[HEALTH])
    if verdict := entry.read_json(HEALTH)["verdict"]:
        if config.gate == "stop":
            raise InputError(str(verdict))
        session.terminal.say(f"WARNING   {verdict}")
    return entry


def _beginnings(manifest: Manifest, clips: Sequence[Clip], sample_rate: int, seconds: float) -> Iterator[FloatArray]:
    for clip in clips:
        yield read_beginning(manifest.root / clip.path, sample_rate, seconds, part=clip.part).samples
