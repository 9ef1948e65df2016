"""Options of ``wordless publish``."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import require_kind
from wordless.base.errors import InputError
from wordless.base.hub import HubAddress, require_repo
from wordless.base.ranges import require

Part = Literal["tokenizer", "lm", "vocoder", "probe"]  # folders of a run that may be published
ONNX_PARTS: tuple[Part, ...] = ("tokenizer", "lm")
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,39}")


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """Options of ``wordless publish``."""

    run: Path  # folder of a finished run
    format: Literal["hub", "onnx", "start"] = "hub"
    output: Path | None = None  # folder of the ONNX files, or of the start weights
    repo: str  # user/name on the hub; empty: none
    upload: bool  # False: only show what would be uploaded
    private: bool
    parts: tuple[Part, ...] | None  # None: all that the run has
    report: bool  # whether to upload report.html, which contains recordings
    licence: str | None  # of the models
    description: str | None = None  # Markdown about data and licences, for the card of start weights

    def __post_init__(self) -> None:
        if self.format != "hub":
            self._require_folder_options()
        else:
            if not self.repo:
                problem = "repo is not given; name a repository of the Hugging Face hub: repo=user/name"
                raise InputError(f"{problem}, or write ONNX files into a folder: format=onnx output=FOLDER")
            require_repo(self.repo, option="repo")
            require(
                self.output is None,
                "output",
                self.output,
                "only format=onnx and format=start write files: leave it out",
            )
        rule = "name each part once, the tokenizer among them: no other model can be used without it"
        parts = list(self.parts or ())
        fitting = self.parts is None or (len({*parts}) == len(parts) and "tokenizer" in parts)
        require(fitting, "parts", parts, rule)
        rule = "name it as the hub does, such as cc-by-4.0, apache-2.0 or other"
        require(self.licence is None or bool(LICENCE.fullmatch(self.licence)), "licence", self.licence, rule)

        if self.description is not None:
            rule = "only the card of start weights has it: leave it out, or choose format=start"
            require(self.format == "start", "description", repr(self.description), rule)
            require(bool(self.description.strip()), "description", "empty", "write a sentence, or leave it out")

    def _require_folder_options(self) -> None:
        """Refuse options of the hub beside those of files in a folder, and parts that these files are not made of."""
        if self.output is None:
            raise InputError(f"output is not given; format={self.format} writes into a folder: output=FOLDER")
        require_kind(self.output, (), possible="a folder")
        for name, plain in (("repo", ""), ("upload", False), ("private", True), ("report", False)):
            rule = f"it is for the hub, and format={self.format} writes files: leave it out"
            require(getattr(self, name) == plain, name, getattr(self, name), rule)
        if self.format == "start":
            rule = "start weights are made of the vocoder and its tokenizer: leave it out"
            require(self.parts is None, "parts", list(self.parts or ()), rule)
            return
        require(self.licence is None, "licence", self.licence, "ONNX files have no card: leave it out")
        others = [part for part in self.parts or () if part not in ONNX_PARTS]
        require(not others, "parts", others, "of these no ONNX file is made: choose tokenizer and lm")

    @property
    def address(self) -> HubAddress:
        """The repository."""
        return HubAddress(repo=self.repo)
