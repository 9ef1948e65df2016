"""``wordless publish``: the models of a run on the Hugging Face hub, or its vocoder as start weights."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import is_held, prepare_output, require_kind
from pipelines.store.run_folder import RESULTS, is_finetuned
from wordless.base.hub import CONFIG, REPO, HubAddress
from wordless.base.options import REQUIRED, Options, option

Part = Literal["tokenizer", "lm", "vocoder", "probe"]  # folders of a run that may be published
READ_BY = {"hub": ("repo", "upload", "private", "parts", "report"), "start": ("output", "description")}
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,39}")


@dataclass(frozen=True, kw_only=True)
class PublishConfig(Options):
    """Options of ``wordless publish``.

    The models of a run go to the Hugging Face hub, with a model card and their figures, and without recordings. A call
    without upload=true only shows what would be uploaded. With format=start, the vocoder becomes start weights in a
    folder instead, for the vocoders of all runs with the same front end, whatever their codes: vocoder.start=FOLDER.

    examples: wordless publish run=runs/x repo=user/name
              wordless publish run=runs/universal format=start output=voice licence=apache-2.0
    """

    run: Path = option(REQUIRED, "folder of a finished run, or of a fine-tuned model")
    format: Literal["hub", "start"] = option(
        "hub", "hub prints or uploads the models; start writes the vocoder's weights for vocoder.start"
    )
    output: Path | None = option(None, "folder of the files that format=start writes")
    repo: str = option("", "user/name of a repository on the Hugging Face hub, which is created if there is none")
    upload: bool = option(False, "true: uploads; false: prints the files, their sizes and the model card")
    private: bool = option(True, "false: everybody can see and load the models")
    parts: tuple[Part, ...] | None = option(
        None, "such as [tokenizer,lm]: some models of a run; null: all that it has", distinct=True
    )
    report: bool = option(
        False, "true: also uploads report.html, which contains sounds, names and spectrograms of recordings"
    )
    licence: str | None = option(
        None, "of the models, as the hub calls it, such as cc-by-4.0; null: the card names none"
    )
    description: str | None = option(
        None,
        "text (Markdown) about the recordings and their licences, for the card of start weights (format=start); null: "
        "the card says what it knows of the last training",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        hub = self.format == "hub"
        for field in fields(self):
            for reader, names in READ_BY.items():
                rule = f"format={self.format} does not read it: leave it out, or choose format={reader}"
                unread = reader != self.format and field.name in names
                self.refuse_if(unread and getattr(self, field.name) != field.default, field.name, rule)
        to_hub = "name a repository of the Hugging Face hub, repo=user/name"
        alone = "name the tokenizer among them: no other model can be used without it"
        text = "the card of start weights has a sentence or more of it: write one, or leave it out"
        no_text = self.description is not None and not self.description.strip()
        for name, broken, rule in (
            ("repo", hub and not REPO.fullmatch(self.repo), to_hub),
            ("output", not hub and self.output is None, "format=start writes into a folder: output=FOLDER"),
            ("parts", self.parts is not None and "tokenizer" not in self.parts, alone),
            ("licence", not LICENCE.fullmatch(self.licence or "mit"), "name it as the hub does, such as cc-by-4.0"),
            ("description", no_text, text),
        ):
            self.refuse_if(broken, name, rule)
        if not hub and self.output is not None:
            require_kind(self.output, (), possible="a folder")

    @property
    def address(self) -> HubAddress:
        return HubAddress(repo=self.repo)


def publish(settings: PublishConfig) -> tuple[PublishConfig]:
    """Refuse all but a fine-tuned model and a finished run that kept its models."""
    run, output, refuse_if = settings.run, settings.output, settings.refuse_if
    rule = "it does not exist, or is no folder: name that of a run, such as run=runs/<date>_<time>"
    refuse_if(not run.is_dir(), "run", rule)
    refuse_if(is_held(run), "run", "it is not finished, a run is writing there: wait for it")
    if is_finetuned(run):
        refuse_if(
            output is not None, "run", f"of a fine-tuned model format={settings.format} writes nothing: name a run"
        )
        return (settings,)
    rule = f"it holds no {RESULTS}, and is no run or one that did not finish: repeat its command, which resumes"
    refuse_if(not (run / RESULTS).is_file(), "run", rule)
    folds = (
        "over folds or several seeds, models stay in the store: call wordless run once without compare.folds and seeds"
    )
    rule = f"it holds no tokenizer/{CONFIG}; {folds}"
    refuse_if(not (run / "tokenizer" / CONFIG).is_file(), "run", rule)
    if output is not None:
        prepare_output(output)
    return (settings,)
