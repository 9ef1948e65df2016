"""The upload to the Hugging Face hub: one commit, so that a repository never holds half of a run."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.publishing.options import PublishConfig
from wordless.base.errors import InputError
from wordless.base.hub import OFFLINE, SECONDS_TO_ANSWER, HubAddress, hub_errors


def require_uploadable(settings: PublishConfig) -> None:
    """Refuse to upload without a network and a token, or into a repository that more people see than was asked."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise InputError(f"upload=true, but {OFFLINE} is set; unset it, or leave upload=true out to see the model card")
    if get_token() is None:
        raise InputError("upload=true, but nobody is logged in to the Hugging Face hub; call: hf auth login")
    info = _find(settings.address)
    if info is not None and info[0] != settings.private:
        seen = "private" if info[0] else "public"
        page = f"{constants.ENDPOINT}/{settings.repo}/settings"
        remedy = f"call with private={str(info[0]).lower()}, or change the repository: {page}"
        raise InputError(f"private={str(settings.private).lower()}, but {settings.repo} is {seen}; {remedy}")


def upload(settings: PublishConfig, contents: Mapping[str, Path | bytes]) -> str:
    """Create the repository if there is none, upload everything in one commit, and return the address of its page.

    Raises:
        InputError: the repository holds models that would be left beside those of this run, or the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="wordless")
    info = _find(settings.address)
    left = sorted(name for name in (info[1] if info else ()) if name.endswith(".safetensors") and name not in contents)
    if left:
        raise InputError(
            f"repo={settings.repo} holds {left[0]}, which this run does not replace, and models of two runs do not "
            "work together; delete it there, or choose another name"
        )
    with hub_errors(settings.address):
        try:
            if info is None:
                api.create_repo(settings.repo, private=settings.private)
            commit = api.create_commit(
                settings.repo,
                [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents.items()],
                commit_message="Upload the models of a Wordless run",
            )
        except ValueError as error:  # the hub checks the first lines of the card
            if isinstance(error, OSError):
                raise
            line = " ".join(str(error).split())
            raise InputError(f"the hub refuses the model card ({line}); choose another licence=...") from error
    return str(commit.repo_url)


def _find(address: HubAddress) -> tuple[bool, list[str]] | None:
    """Return whether a repository is private, and its files; None if it does not exist for this user."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub_errors(address):
        try:
            info = HfApi(library_name="wordless").model_info(address.repo, timeout=SECONDS_TO_ANSWER)
        except RepositoryNotFoundError:
            return None
    return bool(info.private), [each.rfilename for each in info.siblings or ()]
