"""Options of ``wordless publish``."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import require_kind
from wordless.base.errors import InputError
from wordless.base.hub import HubAddress, require_repo
from wordless.base.options import REQUIRED, Options, option

Part = Literal["tokenizer", "lm", "vocoder", "probe"]  # folders of a run that may be published
ONNX_PARTS: tuple[Part, ...] = ("tokenizer", "lm")
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,39}")


@dataclass(frozen=True, kw_only=True)
class PublishConfig(Options):
    """Options of ``wordless publish``.

    The models of a run go to the Hugging Face hub, with a model card and their figures, and without recordings. A call
    without upload=true only shows what would be uploaded. With format=onnx, tokenizer and language model become ONNX
    files in a folder instead, which run without PyTorch: pip install 'wordless[onnx]'. With format=start, the vocoder
    becomes start weights in a folder, for the vocoders of all runs with the same front end, whatever their codes:
    vocoder.start=FOLDER.

    examples: wordless publish run=runs/x repo=user/name
              wordless publish run=runs/x format=onnx output=onnx
              wordless publish run=runs/universal format=start output=voice licence=apache-2.0
    """

    run: Path = option(REQUIRED, "folder of a finished run, or of a fine-tuned model")
    format: Literal["hub", "onnx", "start"] = option(
        "hub",
        "onnx writes tokenizer.onnx (sound -> codes), lm.onnx (codes -> logits) and onnx.json, which describes both; "
        "start writes the vocoder's weights for vocoder.start",
    )
    output: Path | None = option(None, "folder of the files that format=onnx or format=start writes")
    repo: str = option("", "user/name of a repository on the Hugging Face hub, which is created if there is none")
    upload: bool = option(False, "true: uploads; false: prints the files, their sizes and the model card")
    private: bool = option(True, "false: everybody can see and load the models")
    parts: tuple[Part, ...] | None = option(
        None,
        "such as [tokenizer,lm]: some of tokenizer, lm, vocoder and probe; null: all that the run has",
        distinct=True,
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
        if self.format == "hub":
            self._require_repository()
        else:
            self._require_files()
        if self.parts is not None and "tokenizer" not in self.parts:
            rule = "name the tokenizer among them: no other model can be used without it"
            raise InputError(option="parts", value=self.parts, rule=rule)
        if self.licence is not None and not LICENCE.fullmatch(self.licence):
            rule = "name it as the hub does, such as cc-by-4.0, apache-2.0 or other"
            raise InputError(option="licence", value=self.licence, rule=rule)
        if self.description is not None and (self.format != "start" or not self.description.strip()):
            rule = "the card of start weights (format=start) has a sentence or more of it: write one, or leave it out"
            raise InputError(option="description", value=self.description, rule=rule)

    def _require_repository(self) -> None:
        if not self.repo:
            rule = "name a repository of the Hugging Face hub, repo=user/name"
            raise InputError(option="repo", value="", rule=rule, remedy="or write files, format=onnx output=FOLDER")
        require_repo(self.repo, option="repo")
        if self.output is not None:
            rule = "only format=onnx and format=start write files: leave it out"
            raise InputError(option="output", value=self.output, rule=rule)

    def _require_files(self) -> None:
        """Refuse options of the hub beside those of files in a folder, and parts that these files are not made of."""
        if self.output is None:
            rule = f"format={self.format} writes into a folder: output=FOLDER"
            raise InputError(option="output", value=None, rule=rule)
        require_kind(self.output, (), possible="a folder")
        plain = {"repo": "", "upload": False, "private": True, "report": False}
        plain |= {"parts": None} if self.format == "start" else {"licence": None}
        for name, value in plain.items():
            if getattr(self, name) != value:
                rule = f"format={self.format} does not read it: leave it out"
                raise InputError(option=name, value=getattr(self, name), rule=rule)
        if others := [part for part in self.parts or () if part not in ONNX_PARTS]:
            rule = f"of {', '.join(others)} no ONNX file is made: choose tokenizer and lm"
            raise InputError(option="parts", value=self.parts, rule=rule)

    @property
    def address(self) -> HubAddress:
        """The repository."""
        return HubAddress(repo=self.repo)
