"""The options of ``wordless predict``: what a fine-tuned model, or a probe of a run, says of recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipelines.commandline.annotation_files import TABLES, FileOptions, kind_of_output, require_recordings
from pipelines.recordings import TableOptions
from pipelines.settings.inputs import RateOptions
from pipelines.store.outputs import prepare_output
from pipelines.store.run_folder import is_finetuned, part_of
from wordless.audio.recordings.annotations import OF_ANNOTATIONS, WITHOUT_PARTS
from wordless.audio.recordings.manifest import Clips
from wordless.audio.waveform import EXTENSIONS
from wordless.base.model_folders import fetch, hub_address, is_on_hub
from wordless.base.options import option


@dataclass(frozen=True, kw_only=True)
class PredictConfig(TableOptions, FileOptions, RateOptions):
    """Options of ``wordless predict``; the model may also be a folder that ``wordless finetune`` wrote.

    examples: wordless predict model=runs/x input=recordings output=table.tsv
              wordless predict model=runs/x input=site window=1 threshold=0.8 output=events.selections.txt
              wordless predict model=runs/x/finetuned/labels input=recordings output=table.tsv
    """

    method: str = option(
        "auto", "of a run: the method whose probe predicts, such as log_mel or gpt; auto: the best on validation clips"
    )
    window: float | None = option(
        None,
        "predicts windows of so many seconds, about the length of training clips, of whole recordings of any length; "
        "annotations beside them then say how right the events are; null: recordings or annotated parts as they are",
        above=0,
        unit="s",
    )
    hop: float | None = option(
        None, "with a window: from one window to the next; null: half of the window", above=0, unit="s"
    )
    threshold: float | None = option(
        None,
        "with a window: neighbours whose probability of a label is at least this become one event; null: a row for "
        "each window",
        least=0,
        most=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "a fine-tuned model has no other methods: leave it out, or name a run"
        finetuned = is_on_hub(self.model) or is_finetuned(self.model)
        self.refuse_if(finetuned and self.method != "auto", "method", rule)
        for name in ("hop", "threshold"):
            rule = "it is for windows: add window=SECONDS, about the length of a training clip"
            self.refuse_if(getattr(self, name) is not None and self.window is None, name, rule)
        rule = f"sound between windows would be left out: choose at most the window, {self.window} s"
        self.refuse_if(self.window is not None and self.hop is not None and self.hop > self.window, "hop", rule)
        rule = "the files of other programs hold events: add threshold=0.8, or write a table"
        self.refuse_if(self.kind is not None and self.window is not None and self.threshold is None, "threshold", rule)
        if not finetuned:
            part_of(self.model, "tokenizer", otherwise="name a folder that wordless finetune wrote, or ")

    def require_kind_of(self, output: Path) -> None:
        kind_of_output(output, self.format, *TABLES)


def predict(settings: PredictConfig) -> tuple[PredictConfig, Sequence[Clips], Sequence[Clips]]:
    """Find the recordings, and their annotated parts, which are predicted, or judge what is found by windows."""
    annotated = settings.recordings()
    if address := hub_address(settings.model):
        settings = replace(settings, model=fetch(address, "finetuned", ""))
    recordings = annotated if settings.window is None else tuple(map(_whole, annotated))
    if settings.output is not None:
        known = any(clip.label for place in annotated for clip in place.clips)
        shown = known and (settings.window is None or settings.threshold is not None)
        paths = (str(place.root / path) for place in recordings for path in place.frame.path)
        require_recordings(settings.output, settings.kind, paths)
        prepare_output(settings.output, *([settings.output.with_suffix(".html")] if shown else []))
    return settings, recordings, annotated


def _whole(place: Clips) -> Clips:
    """Return the whole recordings of a place, with those whose annotations cannot be used or name no part."""
    sound = (each.path for each in place.rejected if each.kind in OF_ANNOTATIONS)
    paths = [*place.frame.path, *(path for path in sound if PurePosixPath(path).suffix[1:].lower() in EXTENSIONS)]
    rejected = tuple(each for each in place.rejected if each.kind != WITHOUT_PARTS)
    return Clips.from_columns(place.root, {"path": sorted({*paths})}, rejected=rejected, notices=place.notices)
