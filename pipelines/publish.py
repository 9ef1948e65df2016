"""``wordless publish``: the models of a run on the Hugging Face hub, as ONNX files, or as start weights."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pipelines.commandline.claims import is_held
from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_kind, require_space
from pipelines.store.run_folder import is_finetuned
from pipelines.store.work_folder import require_new
from wordless.base.configuration import build
from wordless.base.errors import InputError
from wordless.base.hub import CONFIG, OFFLINE, SECONDS_TO_ANSWER, HubAddress, hub_errors, require_repo
from wordless.base.ranges import require

Part = Literal["tokenizer", "lm", "vocoder", "probe"]  # folders of a run that may be published
ONNX_PARTS: tuple[Part, ...] = ("tokenizer", "lm")
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,39}")
RESULTS = "results.json"  # is written last
ONNX = ("onnx", "onnxscript", "onnxruntime")  # libraries that write and run ONNX files


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


def publish(config: dict[str, object]) -> None:
    """Show what would be uploaded, or upload it."""
    settings = build(PublishConfig, config, name="")
    if settings.format != "hub":
        return _write_files(settings)
    require_finished(settings.run)
    if settings.upload:
        require_uploadable(settings)
    from pipelines.publishing.hub import publish_models  # seconds of imports, which a mistake need not wait for

    publish_models(settings)


def _write_files(settings: PublishConfig) -> None:
    missing = [name for name in ONNX if find_spec(name) is None] if settings.format == "onnx" else []
    if missing:
        raise InputError(
            f"format=onnx needs {', '.join(missing)}, not installed here; call: pip install 'wordless[onnx]'"
        )
    require_finished(settings.run)
    assert settings.output is not None, "the options demand one"
    if is_finetuned(settings.run):
        problem = f"run={settings.run} is a fine-tuned model, of which format={settings.format} writes nothing"
        raise InputError(f"{problem}; name a run")
    require_new(settings.output)
    require_space(settings.output.parent, "output=PATH")
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    if settings.format == "start":
        from pipelines.publishing.start_weights import write_start_weights

        return write_start_weights(settings)
    from pipelines.publishing.onnx_models import write_onnx_models

    write_onnx_models(settings)


def require_finished(run: Path) -> None:
    """Refuse everything but a fine-tuned model and the folder of a run that has ended and kept its models."""
    if not run.is_dir():
        state = "is a file" if run.exists() else "does not exist"
        raise InputError(f"run={run} {state}; name the folder of a run, such as run=runs/<date>_<time>")
    if is_held(run):
        raise InputError(f"run={run} is not finished: a run is writing there; wait for it")
    if is_finetuned(run):
        return
    if not (run / RESULTS).is_file():
        raise InputError(
            f"run={run} holds no {RESULTS}: it is no run, or one that did not finish; repeat its command, which resumes"
        )
    if not (run / "tokenizer" / CONFIG).is_file():
        raise InputError(
            f"run={run} holds no tokenizer/{CONFIG}; a run over folds or several seeds keeps its models in the store: "
            "call wordless run once without compare.folds and seeds"
        )


def require_uploadable(settings: PublishConfig) -> None:
    """Refuse to upload without a network and a token, or into a repository that more people see than was asked."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise InputError(f"upload=true, but {OFFLINE} is set; unset it, or leave upload=true out to see the model card")
    if get_token() is None:
        raise InputError("upload=true, but nobody is logged in to the Hugging Face hub; call: hf auth login")
    info = find_repository(settings.address)
    if info is not None and info[0] != settings.private:
        seen = "private" if info[0] else "public"
        page = f"{constants.ENDPOINT}/{settings.repo}/settings"
        remedy = f"call with private={str(info[0]).lower()}, or change the repository: {page}"
        raise InputError(f"private={str(settings.private).lower()}, but {settings.repo} is {seen}; {remedy}")


def find_repository(address: HubAddress) -> tuple[bool, list[str]] | None:
    """Return whether a repository is private, and its files; None if it does not exist for this user."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub_errors(address):
        try:
            info = HfApi(library_name="wordless").model_info(address.repo, timeout=SECONDS_TO_ANSWER)
        except RepositoryNotFoundError:
            return None
    return bool(info.private), [each.rfilename for each in info.siblings or ()]


main = command("publish", publish, paths=frozenset({"run", "output"}), texts=frozenset({"repo", "description"}))

if __name__ == "__main__":
    main()
