"""Check of the judging classifier: its label accuracy on the original recordings.

Label accuracy of decoded clips says something about a vocoder only where the classifier recognises the originals.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from scipy.stats import binom

from pipelines.results.run_record import is_cut
from pipelines.stages.options import JudgeName
from pipelines.stages.playback import CLIPS, JUDGES
from pipelines.stages.recognition import RECOGNISED
from pipelines.store.store import Entry
from vocoder.kinds import ORIGINAL
from wordless.audio.recordings.manifest import Manifest

GOOD_ENOUGH = 0.95  # label accuracy on originals above which mistakes come from the sound rather than the classifier
TOO_WEAK = 0.8  # label accuracy on originals below which figures of decoded sound mean little
OFTEN = 0.25  # share of clips longer than their judged excerpts above which longer excerpts may help
BETTER: dict[JudgeName, str] = {  # remedies for a weak judge
    "probe": "let a trained network judge with listening.judge=supervised",
    "codes": "let a trained network judge with listening.judge=supervised",
    "supervised": "train the classifier longer with baselines.supervised.fit.steps",
}
SIGNIFICANT = 0.05  # significance level against always giving the most frequent label


@dataclass(frozen=True, kw_only=True)
class OriginalsRecognised:
    """Number of labelled original recordings that the classifier recognises."""

    right: int
    clips: int
    guess: str  # the most frequent label among these clips
    guessed: int  # clips of that label

    @property
    def rate(self) -> float:
        """Share of the clips that are recognised."""
        return self.right / self.clips

    @property
    def beats_guessing(self) -> bool:
        """Whether the classifier is right clearly more often than the most frequent label is (binomial test)."""
        return bool(binom.sf(self.right - 1, self.clips, self.guessed / self.clips) < SIGNIFICANT)


def originals_recognised(recognised: Entry, manifest: Manifest) -> OriginalsRecognised | None:
    """Compare the classifier's answers to the originals with the manifest's labels; None without labels."""
    known = read_labelled_rows(recognised, manifest)
    if not known:
        return None
    ((guess, guessed),) = Counter(label for label, _ in known).most_common(1)
    right = sum(label == answers[ORIGINAL] for label, answers in known)
    return OriginalsRecognised(right=right, clips=len(known), guess=guess, guessed=guessed)


def read_labelled_rows(recognised: Entry, manifest: Manifest) -> list[tuple[str, Mapping[str, str]]]:
    """List the label of each judged clip, and the classifier's answer to each kind of its sound."""
    labels = {clip.name: clip.label for clip in manifest.clips}
    rows = recognised.read_rows(RECOGNISED, "clips")
    return [(label, row["heard"]) for row in rows if (label := labels.get(row["path"])) is not None]


def judge_of(recognised: Entry) -> JudgeName:
    """Return the classifier that named the labels."""
    return cast(JudgeName, recognised.read_json(RECOGNISED)["judge"])


def unreliable_classifier(recognised: Entry, decoded: Entry, manifest: Manifest) -> str | None:
    """Write a warning with a remedy if the originals are not recognised; None if they are."""
    found = originals_recognised(recognised, manifest)
    if found is None or (found.rate >= TOO_WEAK and found.beats_guessing):
        return None
    judge = judge_of(recognised)
    remedies = "; ".join([*_remedies(found, decoded, manifest), BETTER[judge]])
    guessing = (
        f" The answer {found.guess!r} for every clip would be right for {found.guessed / found.clips:.0%} of them."
    )
    return (
        f"label accuracy says little about the vocoders in this run. The classifier, {JUDGES[judge]}, recognises "
        f"{found.rate:.0%} of the original recordings ({found.right} of {found.clips} clips)."
        f"{'' if found.beats_guessing else guessing} What helps: {remedies}"
    )


def fair_classifier(recognised: Entry, manifest: Manifest) -> str | None:
    """Write a notice if the originals are recognised, but not nearly all of them; else None."""
    found = originals_recognised(recognised, manifest)
    if found is None or found.rate < TOO_WEAK or found.rate >= GOOD_ENOUGH:
        return None
    judge = judge_of(recognised)
    return (
        f"the classifier, {JUDGES[judge]}, recognises {found.rate:.0%} of the original clips, fewer than "
        f"{GOOD_ENOUGH:.0%}. Compare label accuracy of decoded sound with that of the originals, or {BETTER[judge]}"
    )


def _remedies(found: OriginalsRecognised, decoded: Entry, manifest: Manifest) -> Iterator[str]:
    """List options that can improve the classifier and are not exhausted."""
    rows = decoded.read_rows(CLIPS, "clips")
    cut = [row for row in rows if is_cut(row)]
    if len(cut) > OFTEN * len(rows):
        longer = f"{len(cut)} of {len(rows)} clips are longer than the {cut[0]['seconds']:g} s that are judged"
        yield f"raise listening.seconds, since {longer}"
    if not manifest.trimmed_seconds:
        yield "cut silent ends off with corpus.inspection.trim_db=40"
    if not found.beats_guessing and len(rows) < len(manifest.of("test")):
        yield f"judge more than {len(rows)} clips with listening.judged_clips"
    counts = Counter(clip.label for clip in manifest.of("train") if clip.label is not None)
    if counts:
        rarest, clips = min(counts.items(), key=lambda item: (item[1], item[0]))
        yield f"add recordings of each label ({rarest!r} has {clips} to train on)"
