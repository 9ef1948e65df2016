"""``wordless publish``: the models of a run on the Hugging Face hub. Its options."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.store.claims import is_held
from pipelines.store.run_parts import RESULTS, is_finetuned
from wordless.base.options import REQUIRED, Options, option
from wordless.base.saved_models import CONFIG, REPO, HubAddress

PublishedPart = Literal["tokenizer", "lm", "vocoder", "probe"]  # folders of a run that may be published
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,39}")


@dataclass(frozen=True, kw_only=True)
class PublishConfig(Options):
    """Options of ``wordless publish``.

    The models of a run go to the Hugging Face hub, with a model card and their figures, and without recordings. A call
    without upload=true only shows what would be uploaded.

    example: wordless publish run=runs/x repo=user/name
    """

    run: Path = option(REQUIRED, "folder of a finished run, or of a fine-tuned model")
    repo: str = option(REQUIRED, "user/name of a repository on the Hugging Face hub, which is created if there is none")
    upload: bool = option(False, "true: uploads; false: prints the files, their sizes and the model card")
    private: bool = option(True, "false: everybody can see and load the models")
    parts: tuple[PublishedPart, ...] | None = option(
        None, "such as [tokenizer,lm]: some models of a run; null: all that it has", distinct=True
    )
    report: bool = option(
        False, "true: also uploads report.html, which contains sounds, names and spectrograms of recordings"
    )
    licence: str | None = option(
        None, "of the models, as the hub calls it, such as cc-by-4.0; null: the card names none"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        to_hub = "name a repository of the Hugging Face hub, repo=user/name"
        alone = "name the tokenizer among them: no other model can be used without it"
        for name, broken, rule in (
            ("repo", not REPO.fullmatch(self.repo), to_hub),
            ("parts", self.parts is not None and "tokenizer" not in self.parts, alone),
            ("licence", not LICENCE.fullmatch(self.licence or "mit"), "name it as the hub does, such as cc-by-4.0"),
        ):
            self.refuse_if(broken, name, rule)

    @property
    def address(self) -> HubAddress:
        return HubAddress(repo=self.repo)


def publish(settings: PublishConfig) -> tuple[PublishConfig]:
    """Refuse all but a fine-tuned model and a finished run that kept its models."""
    run, refuse_if = settings.run, settings.refuse_if
    rule = "it does not exist, or is no folder: name that of a run, such as run=runs/<date>_<time>"
    refuse_if(not run.is_dir(), "run", rule)
    refuse_if(is_held(run), "run", "it is not finished, a run is writing there: wait for it")
    if is_finetuned(run):
        return (settings,)
    rule = f"it holds no {RESULTS}, and is no run or one that did not finish: repeat its command, which resumes"
    refuse_if(not (run / RESULTS).is_file(), "run", rule)
    folds = (
        "over folds or several seeds, models stay in the store: call wordless run once without compare.folds and seeds"
    )
    rule = f"it holds no tokenizer/{CONFIG}; {folds}"
    refuse_if(not (run / "tokenizer" / CONFIG).is_file(), "run", rule)
    return (settings,)
