"""The report of one run: charts, tables and sounds.

The page holds its styles, charts (inline SVG) and sounds (data URIs), runs no script and fetches nothing. The same
results give the same bytes. The page leaves out what a run did not make, and says which command adds it.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import soundfile
from markupsafe import Markup

from pipelines.pages import report_sounds, run_words
from pipelines.pages.environment import draw
from pipelines.pages.headline import Headline, headline, silence_warning
from pipelines.pages.key_figures import key_figures
from pipelines.pages.method_pictures import method_pictures
from pipelines.pages.phrasing import full_name
from pipelines.pages.rate_sounds import rate_clips
from pipelines.pages.run_charts import fold_trainings, report_charts
from pipelines.pages.sound_charts import reconstruction, reconstruction_png, sound_spectrograms
from pipelines.results.measures import SOUND
from pipelines.results.run_record import DiversityRow, Pictures, Results, read_pictures, read_results
from pipelines.store.run_folder import REPORT
from vocoder.kinds import JUDGED_KINDS, KINDS, WAVENET
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.files import write_aside

MAX_PICTURES = 6  # clips


def write_report(folder: Path) -> Path:
    """Draw ``report.html`` from a run folder, whole or not at all, and give its path.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    results = read_results(folder)
    clips, unconditional = report_sounds.clip_sounds(results), report_sounds.said_sounds(results, None)
    of_samples, pictures = report_sounds.sample_sounds(results), read_pictures(folder)
    first, codes, before = _first_sounds(folder, results, clips, pictures)
    comparison = results.get("comparison")
    kinds = {row.of for row in results["figures"]}
    page = draw(
        "report.html.jinja",
        results=results,
        opening=run_words.opening(results),
        key_figures=key_figures(results),
        comparison=comparison,
        study=comparison is not None and comparison.has_folds,
        trainings=dict(fold_trainings(results)),
        charts=dict(report_charts(results)),
        pictures=list(method_pictures(comparison)) if comparison else [],
        reconstructions=list(_reconstructions(folder, results, pictures)),
        code_sounds=codes,
        headline=first,
        listening="listening" in results,
        clips=clips,
        unconditional=unconditional,
        sources=report_sounds.embedded_sounds(folder, [*clips, *of_samples], unconditional, before=before),
        silence=silence_warning([*(sound for clip in clips for sound in clip.continuations), *unconditional]),
        excerpts=report_sounds.excerpt_sentence(results),
        filtered=report_sounds.filter_sentences(results),
        spectrograms=list(_spectrograms(folder, clips)),
        samples=results.get("next_sample"),
        sample_sounds=list(zip(of_samples, _sample_spectrograms(folder, of_samples), strict=True)),
        generated=list(_generated(results)),
        language_tests=results.get("zerospeech", {}),
        references=comparison.known_references if comparison else [],
        rates=results.get("rates"),
        rate_clips=list(rate_clips(folder, results)),
        splits=SPLITS,
        judged_kinds=[kind for kind in JUDGED_KINDS if kind in kinds],
        vocoder=WAVENET.title,
        explanations=[kind.explanation for kind in KINDS if kind.key in kinds],
        caveats=[kind.caveat for kind in KINDS if kind.key in kinds and kind.caveat],
        sound_figures=[measure.name for measure in SOUND],
        sounds_of_zero=list(_sounds_of_zero(results)),
        adding=lambda stage: adding_command(results, stage),
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


def _first_sounds(
    folder: Path, results: Results, clips: Sequence[report_sounds.ClipSounds], pictures: Pictures
) -> tuple[Headline | None, list[report_sounds.CodeSounds], list[str]]:
    """Make the headline and the table of codes, and list the data URIs of their sounds in the order of the page."""
    first = headline(folder, clips, pictures, largest=_largest_code(results))
    codes = list(report_sounds.code_sounds(folder, results))
    sources = [player.source for player in first.players] if first else []
    return first, codes, [*sources, *(source for each in codes for _, source in each.players)]


def adding_command(results: Results, stage: str) -> str:
    """Write the command that repeats a run with one more stage. It reuses the finished stages.

    It has a folder of its own: a name belongs to the options of its first run.
    """
    parts = {"tokenizer": "codebook" in results, "lm": "lm" in results.get("curves", {})}
    parts |= {"probe": results.get("comparison") is not None, "vocoder": "listening" in results}
    parts |= {
        "zerospeech": "zerospeech" in results,
        "next_sample": "next_sample" in results,
        "rates": "rates" in results,
    }
    stages = [part for part, present in parts.items() if present or part == stage]
    try:
        words = shlex.split(results.get("command", "wordless run"))
    except ValueError:  # a quote without its partner, as a shell removes them
        words = results.get("command", "wordless run").split()
    kept = [word for word in words if not word.startswith(("stages=", "name="))]
    return shlex.join([*kept, f"stages=[{','.join([*stages, 'report'])}]"])


def _reconstructions(folder: Path, results: Results, pictures: Pictures) -> Iterator[tuple[str, Markup]]:
    """Draw what the tokenizer keeps of each clip that has pictures."""
    largest = _largest_pictured(results, pictures)
    for number, name, seconds in _pictured_clips(folder, results, pictures):
        yield name, reconstruction(number, pictures, seconds=seconds, largest=largest, name=name)


def report_pictures(folder: Path) -> dict[str, bytes]:
    """Draw what the tokenizer keeps of each clip that the report shows, as contents of PNG files by title."""
    results, pictures = read_results(folder), read_pictures(folder)
    largest = _largest_pictured(results, pictures)
    return {
        f"{number + 1} {name}": reconstruction_png(number, pictures, seconds=seconds, largest=largest)
        for number, name, seconds in _pictured_clips(folder, results, pictures)
    }


def _pictured_clips(folder: Path, results: Results, pictures: Pictures) -> Iterator[tuple[int, str, float]]:
    """Give number, name and seconds of each clip that has pictures."""
    for number, clip in enumerate(results["listening"]["clips"][:MAX_PICTURES] if "listening" in results else []):
        if f"{number}:codes" in pictures:
            path = report_sounds.sound_path(folder, f"{number}_original.wav")
            yield number, report_sounds.clip_name(clip), soundfile.info(path).duration


def _largest_code(results: Results) -> int | None:
    return len(results["codebook"]["counts"]) - 1 if "codebook" in results else None


def _largest_pictured(results: Results, pictures: Pictures) -> int:
    """Return the largest code of the codebook, or where the results do not say it, of the pictures."""
    if (largest := _largest_code(results)) is not None:
        return largest
    return max((int(values.max(initial=0)) for name, values in pictures.items() if name.endswith(":codes")), default=0)


def _sounds_of_zero(results: Results) -> Iterator[str]:
    """Give the figures of sounds that are 0 for each kind of sound, which the table leaves out."""
    found = [row for row in results["figures"].measured("vocoder") if row.of in JUDGED_KINDS]
    for measure in SOUND:
        values = [row.value for row in found if row.name == measure.name]
        if values and not any(values):
            yield full_name(measure.name)


def _spectrograms(folder: Path, clips: Sequence[report_sounds.ClipSounds]) -> Iterator[tuple[str, Markup]]:
    """Draw the sounds of each clip, and its last continuation."""
    for number, clip in enumerate(clips[:MAX_PICTURES]):
        by_file = {sound.file: sound for sound in clip.sounds}
        judged = [by_file[file] for kind in JUDGED_KINDS if (file := f"{number}_{kind}.wav") in by_file]
        sounds = {report_sounds.sound_path(folder, sound.file): sound for sound in (*judged, *clip.continuations[-1:])}
        yield clip.name, sound_spectrograms(number, sounds, name=clip.name)


def _sample_spectrograms(folder: Path, groups: Sequence[report_sounds.ClipSounds]) -> Iterator[Markup]:
    """Draw the sounds of language models of samples, group by group, behind the other pictures of the page."""
    for number, group in enumerate(groups, MAX_PICTURES):
        sounds = {report_sounds.sound_path(folder, each.file, part=each.folder): each for each in group.sounds}
        yield sound_spectrograms(number, sounds, name=group.name)


def _generated(results: Results) -> Iterator[tuple[DiversityRow, dict[str, int]]]:
    """Give how varied the sounds of the language model are, and the classes recognised in them, the frequent first."""
    record = results.get("listening", {})
    recognised = {(row["of"], row["temperature"]): row["classes"] for row in record.get("recognised", [])}
    for row in record.get("diversity", []):
        classes = recognised.get((row["of"], row["temperature"]), {})
        yield row, dict(sorted(classes.items(), key=lambda item: (-item[1], item[0])))
