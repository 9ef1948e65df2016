"""The work of ``wordless score``, once its options are checked."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audio.recordings.inspection import frequent_reasons
from audio.recordings.manifest import Rejected, write_rejected
from audio.recordings.recording_paths import Recordings
from foundation.devices import choose_device, cores
from foundation.errors import InputError
from foundation.files import aside, write_aside
from foundation.progress import Terminal
from foundation.text import counted, escape
from foundation.workers import encoding_pool, in_order
from lm.judging.scores import Score, score
from lm.rate_model import load_language_model
from pipelines.encoding.job import BYTES_FOR_WORKERS, encode_recording
from pipelines.scoring.options import ScoreConfig, submitted_name
from tokenizer.codes import require_same_codebook
from tokenizer.encoder import Encoder
from tokenizer.parquet import CodedClip

HEAD = f"{'nats':>12} {'nats/code':>10} {'bits/s':>9} {'perplexity':>11}  recording"
COLUMNS = tuple(field.name for field in fields(Score))


@dataclass(frozen=True, kw_only=True)
class ScoredRecording:
    """One line of the output."""

    path: str  # as the user can open it
    score: Score

    @property
    def line(self) -> str:
        """Total nats, nats per code, bits per second, perplexity and path."""
        one = self.score
        figures = f"{one.log_probability:>12.1f} {one.nats_per_code:>10.3f} {one.bits_per_second:>9.1f}"
        return f"{figures} {one.perplexity:>11.2f}  {escape(self.path)}"

    @property
    def row(self) -> dict[str, object]:
        """The figures by column of a table."""
        return {"path": self.path, **asdict(self.score)}


def score_recordings(settings: ScoreConfig, recordings: Sequence[Recordings], tokenizer: Path, lm: Path) -> None:
    """Encode and score all recordings, print a line for each, and write the table."""
    terminal = Terminal()
    device = str(choose_device(settings.device))
    model = load_language_model(lm, device=device)
    encoders = [Encoder(folder=tokenizer, root=place.root, device=device) for place in recordings]
    require_same_codebook(model.format, encoders[0].format, owner=model.name)
    scored: list[ScoredRecording] = []
    rejected: list[Rejected] = []
    print(HEAD, flush=True)
    for encoder, place in zip(encoders, recordings, strict=True):
        for path, clip in _encode(encoder, place, settings.workers, terminal):
            if isinstance(clip, Rejected):
                rejected.append(Rejected(path=path, reason=clip.reason))
                continue
            scored.append(ScoredRecording(path=path, score=score(model, clip.codes)))
            print(scored[-1].line, flush=True)
    _tell_rejected(settings, rejected, terminal)
    if not scored:
        raise InputError(f"input={settings.input}: no recording can be read ({frequent_reasons(rejected)})")
    if settings.output is not None:
        write_scores(settings.output, scored)
    terminal.say(_summary(scored, settings.output))


def _encode(
    encoder: Encoder, place: Recordings, workers: int, terminal: Terminal
) -> Iterator[tuple[str, CodedClip | Rejected]]:
    """Give the path of each recording as the user can open it, with its codes or the reason for setting it aside."""
    fitting = workers or (cores() if place.size > BYTES_FOR_WORKERS else 1)
    total = len(place.paths)
    with encoding_pool(min(fitting, total)) as pool, terminal.working("scoring", total, "recordings") as progress:
        remedy = "call the same command with workers=1, which scores all recordings again"
        results = in_order(partial(encode_recording, encoder), place.paths, pool, remedy=remedy)
        for done, (path, result) in enumerate(zip(place.paths, results, strict=True), 1):
            yield str(place.root / path), result
            progress.advance_to(done)


def _tell_rejected(settings: ScoreConfig, rejected: Sequence[Rejected], terminal: Terminal) -> None:
    """Print each file that was set aside with its reason, or write the list beside the output."""
    if settings.rejected is None or not rejected:
        for each in rejected:
            terminal.say(f"set aside: {each.path}: {each.reason}")
        return
    write_rejected(rejected, settings.rejected)
    terminal.say(f"{len(rejected)} set aside ({frequent_reasons(rejected)}): {settings.rejected}")


def _summary(scored: Sequence[ScoredRecording], output: Path | None) -> str:
    codes = sum(each.score.codes for each in scored)
    nats = -sum(each.score.log_probability for each in scored)
    seconds = sum(each.score.seconds for each in scored)
    written = f": {output}" if output else ""
    return f"{counted(len(scored), 'recording')}, {seconds:.1f} s of sound, {nats / codes:.3f} nats per code{written}"


def write_scores(output: Path, scored: Sequence[ScoredRecording]) -> None:
    """Write the table, whole or not at all; the suffix of the name decides its format."""
    rows = [each.row for each in scored]
    match output.suffix.lower():
        case ".json":
            write_aside(output, json.dumps(rows, indent=1) + "\n")
        case ".parquet":
            with aside(output) as beside:
                pq.write_table(pa.Table.from_pylist(rows), beside)
        case ".txt":
            write_aside(output, zerospeech_lines(scored))
        case _:
            lines = ["\t".join(str(row[name]) for name in ("path", *COLUMNS)) for row in rows]
            write_aside(output, "\n".join(["\t".join(("path", *COLUMNS)), *lines]) + "\n")


def zerospeech_lines(scored: Sequence[ScoredRecording]) -> str:
    """Write each name and log-probability, as ZeroSpeech 2021 reads its tasks' submissions.

    The log-probability is divided by the number of codes, so that long recordings are not less probable.
    """
    return "".join(f"{submitted_name(each.path)} {-each.score.nats_per_code}\n" for each in scored)
