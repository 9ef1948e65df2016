"""Judges of speech in a run: each rates the decoded test clips and their recordings."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.chain.study import Study
from pipelines.extras.speech_judges import EXTRA
from pipelines.extras.speech_judges.speech_judges import SPEECH_JUDGES, require_installed, unfit_rate
from pipelines.extras.work import Work
from pipelines.results.rows import Made, Row
from pipelines.results.run_record import Section
from pipelines.results.sound_figures import clip_figures
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.listening import JUDGED, decoded_paths, sound_of
from pipelines.store.session import Run, Session
from pipelines.store.stage import stage
from pipelines.store.store import Entry, write_json
from vocoder.kinds import JUDGED_KINDS, ORIGINAL
from wordless.audio.recordings.manifest import Clips
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError
from wordless.base.machine import version_of

LEAST_OPINION = 2.0  # "poor": mean opinion score of recordings below which they are no speech, or too noisy
Sound = tuple[int, str]  # number of its clip, and its kind
Opinions = dict[str, float]  # figures of a sound
Rows = list[dict[str, Opinions]]  # of each clip: the figures of each kind of sound


def judge_speech(session: Session, decoded: Entry, judge: str) -> Entry:
    """Let a judge listen to each decoded clip and its recording; one that suits none gives no figures but a reason."""
    package = SPEECH_JUDGES[judge].distribution
    entry = _judged(session, judge, f"{package} {version_of(package)}", decoded)
    session.when_made(entry, lambda made: (why := unfit_of(made)) and f"judged    no figures by {judge}: {why}")
    return entry


@stage("judged_{judge}", version=2, title="decoded test clips judged by {judge}")
def _judged(run: Run, judge: str, package: str, decoded: Entry) -> None:
    rows, paths, rules = Rows(), decoded_paths(decoded), SPEECH_JUDGES[judge]
    if (unfit := unfit_rate(sound_of(decoded.folder, 0, ORIGINAL).sample_rate)) is None:
        jobs = [(number, kind) for number in range(len(paths)) for kind in JUDGED_KINDS]
        found = run.each(f"listening: {judge}", partial(_listen, decoded.folder, rules.listen), jobs)
        rows, unfit = _opinions(dict(zip(jobs, found, strict=True)), len(paths), rules.overall)
    clips = [{"path": path, "sounds": sounds} for path, sounds in zip(paths, rows, strict=False)]  # none if unfit
    write_json(run.folder / JUDGED, {"unfit": unfit, "clips": clips})


def unfit_of(entry: Entry) -> str | None:
    """Return why a judge gave no figures; None if it gave them."""
    unfit: str | None = entry.read_json(JUDGED)["unfit"]
    return unfit


def _listen(folder: Path, listen: Callable[[Waveform], Opinions | None], job: Sound) -> Opinions | None:
    return listen(sound_of(folder, *job))


def _opinions(heard: Mapping[Sound, Opinions | None], clips: int, overall: str) -> tuple[Rows, str | None]:
    # Means of recordings: spoken orders 3.0 (DNSMOS) and 3.6 (DistillMOS), sounds of ESC-10 1.2 and 1.8.
    rows: Rows = [{kind: heard[number, kind] or {} for kind in JUDGED_KINDS} for number in range(clips)]
    values = [row[ORIGINAL][overall] for row in rows if row[ORIGINAL]]
    if not values:
        return [], "the recordings are silent"
    if (mean := float(np.mean(values))) < LEAST_OPINION:
        why = f"it gives the recordings {mean:.1f} of 5, less than {LEAST_OPINION:g}"
        return [], f"{why}: they are no speech, or too noisy"
    return rows, None


def _require(settings: RunSettings) -> None:
    require_installed()
    if "vocoder" not in settings.stages or not settings.listening.judged_clips:
        problem = "stages has speech_judges, which rate the decoded clips of the stage vocoder"
        raise InputError(f"{problem}: add vocoder, with listening.judged_clips=1 or more, or leave speech_judges out")


def _plan(study: Study) -> None:
    for name in SPEECH_JUDGES:
        study.add(judge_speech(study.session, study.entries["decoded"], name))


def opinion_rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    """Say which judges gave figures, or why not, and give these figures; a vocoder has one training."""
    [entries] = made.values()
    about, figures, protocol = list[Section](), list[Row](), settings.corpus.split.by
    for name, judge in SPEECH_JUDGES.items():
        entry = entries[f"judged_{name}"]
        about.append(Section(name=name, about=judge.explanation, unfit=unfit_of(entry)))
        row = Row(stage=EXTRA.name, name="", value=np.nan, artifact=entry.key, protocol=protocol, split="test")
        rows = entry.read_rows(JUDGED, "clips")
        figures += clip_figures(rows, settings.probe, row, with_recordings=EXTRA.measures)
    return Section(judges=about, clips=len(decoded_paths(entries["decoded"]))), figures


WORK = Work(plan=_plan, rows=opinion_rows, require=_require)
