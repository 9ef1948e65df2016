"""A line for each recording, and a table of all: ``wordless score``, and what ``wordless predict`` shares with it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from lm.language_tests import Score, score
from lm.model import LanguageModel
from pipelines.jobs.coding import R, Told, attempted, encode_recording, open_session
from pipelines.recordings import ScoreConfig, TableOptions, submitted_name
from tokenizer.codes import require_same_codebook
from tokenizer.tokenizer import load_tokenizer
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.base.arrays import write_table
from wordless.base.files import write_aside
from wordless.base.machine import choose_device
from wordless.base.messages import counted, escape
from wordless.base.progress import Terminal

HEAD = f"{'log p, nats':>12} {'nats/code':>10} {'bits/s':>9} {'perplexity':>11}  recording"


def read_all(
    settings: TableOptions, places: Sequence[Clips], work: Callable[[Path, Clip], R | Rejected], title: str
) -> Iterator[tuple[str, R]]:
    """Give the path of each recording that can be read, as the user can open it, with what ``work`` makes of it."""
    told = Told()
    for place in places:
        session = open_session(settings, place)
        told.rejected.extend(replace(each, path=str(place.root / each.path)) for each in place.rejected)
        results = session.each(title, partial(attempted, partial(work, place.root)), place.clips)
        names = (str(place.root / clip.name) for clip in place.clips)
        yield from told.readable(zip(names, results, strict=True))
    told.tell(Terminal(), settings.output, option=f"input={settings.input}")


def score_recordings(settings: ScoreConfig, recordings: Sequence[Clips], tokenizer: Path, lm: Path) -> None:
    """Encode and score all recordings, print a line for each, and write the table."""
    device = str(choose_device(settings.device))
    model = LanguageModel.from_pretrained(lm, device=device)
    encoder = partial(load_tokenizer, tokenizer, device)
    require_same_codebook(model.format, encoder().format, owner=model.name)
    scored: list[tuple[str, Score]] = []  # each with the path as the user can open it
    print(HEAD, flush=True)
    for path, clip in read_all(settings, recordings, partial(encode_recording, encoder), "scoring"):
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
    Terminal().say(f"{counted(len(scored), noun(recordings))}, {seconds:.1f} s of sound, {figures}{written}")


def noun(recordings: Sequence[Clips]) -> str:
    """Return the noun for a recording of these places, or a part of one."""
    return "part" if any(place.has_segments for place in recordings) else "recording"
