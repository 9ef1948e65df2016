"""The work of ``wordless score``, once its options are checked."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from lm.judging import Score, score
from lm.model import LanguageModel
from pipelines.jobs.encode import encode_recording
from pipelines.jobs.recordings import read_all
from pipelines.score import ScoreConfig, submitted_name
from tokenizer.codes import require_same_codebook
from tokenizer.encoder import Encoder
from wordless.audio.recordings.manifest import Clips
from wordless.base.arrays import write_table
from wordless.base.files import write_aside
from wordless.base.machine import choose_device
from wordless.base.progress import Terminal
from wordless.base.text import counted, escape

HEAD = f"{'log p, nats':>12} {'nats/code':>10} {'bits/s':>9} {'perplexity':>11}  recording"


def score_recordings(settings: ScoreConfig, recordings: Sequence[Clips], tokenizer: Path, lm: Path) -> None:
    """Encode and score all recordings, print a line for each, and write the table."""
    terminal = Terminal()
    device = str(choose_device(settings.device))
    model = LanguageModel.from_pretrained(lm, device=device)
    encoders = {place.root: Encoder(folder=tokenizer, root=place.root, device=device) for place in recordings}
    require_same_codebook(model.format, encoders[recordings[0].root].format, owner=model.name)
    scored: list[tuple[str, Score]] = []  # each with the path as the user can open it
    print(HEAD, flush=True)
    clips = read_all(
        settings,
        recordings,
        lambda place: partial(encode_recording, encoders[place.root]),
        title="scoring",
        terminal=terminal,
    )
    for path, clip in clips:
        found = score(model, clip.codes)
        scored.append((path, found))
        line = f"{found.log_probability:>12.1f} {found.nats_per_code:>10.3f} {found.bits_per_second:>9.1f}"
        print(f"{line} {found.perplexity:>11.2f}  {escape(path)}", flush=True)
    if settings.output is not None:
        if settings.output.suffix.lower() == ".txt":  # as ZeroSpeech 2021 reads it
            # The log-probability is divided by the number of codes, so that long recordings are not less probable.
            lines = (f"{submitted_name(path)} {-each.nats_per_code}\n" for path, each in scored)
            write_aside(settings.output, "".join(lines))
        else:
            write_table(settings.output, [{"path": path, **asdict(each)} for path, each in scored])
    codes, seconds = sum(each.codes for _, each in scored), sum(each.seconds for _, each in scored)
    nats = -sum(each.log_probability for _, each in scored)
    written = f": {settings.output}" if settings.output else ""
    figures = f"{nats / codes:.3f} nats per code, {nats / seconds / math.log(2):.1f} bits per second"
    terminal.say(f"{counted(len(scored), 'recording')}, {seconds:.1f} s of sound, {figures}{written}")
