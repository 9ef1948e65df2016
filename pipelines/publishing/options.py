"""Options of ``wordless publish``."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foundation.hub import HubAddress, require_repo
from foundation.ranges import require

Part = Literal["tokenizer", "lm", "vocoder", "probe"]  # folders of a run that may be published
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,39}")


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """Options of ``wordless publish``."""

    run: Path  # folder of a finished run
    repo: str  # user/name on the hub
    upload: bool  # False: only show what would be uploaded
    private: bool
    parts: tuple[Part, ...] | None  # None: all that the run has
    report: bool  # whether to upload report.html, which contains recordings
    licence: str | None  # of the models

    def __post_init__(self) -> None:
        require_repo(self.repo, option="repo")
        rule = "name each part once, the tokenizer among them: no other model can be used without it"
        parts = list(self.parts or ())
        fitting = self.parts is None or (len({*parts}) == len(parts) and "tokenizer" in parts)
        require(fitting, "parts", parts, rule)
        rule = "name it as the hub does, such as cc-by-4.0, apache-2.0 or other"
        require(self.licence is None or bool(LICENCE.fullmatch(self.licence)), "licence", self.licence, rule)

    @property
    def address(self) -> HubAddress:
        """The repository."""
        return HubAddress(repo=self.repo)
