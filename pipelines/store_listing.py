"""``wordless store``: the entries of a store, their sizes, and whether their files are as they were written."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.store.store import ENTRY, SYNTHESISED, UNPACKED, StoreOptions, faults
from pipelines.store.unused import KEY
from wordless.base.errors import InputError
from wordless.base.files import folder_size
from wordless.base.options import option
from wordless.base.text import escape


@dataclass(frozen=True, kw_only=True)
class ListingConfig(StoreOptions):
    """Options of ``wordless store``.

    example: wordless store verify=true
    """

    verify: bool = option(
        False, "true: hashes every file again, even where size and time of change are the same; --verify means the same"
    )


def store(settings: ListingConfig) -> None:
    """Print a line for each entry and each fault, and the sum of their sizes; refuse a store with faults."""
    root = settings.store.root
    if not root.is_dir():
        raise InputError(f"store.root={root} is no folder; name the store of a run, such as store.root=store")
    found_folders = (folder for folder in root.glob("*/*") if folder.is_dir())
    folders = sorted(each for each in found_folders if (each / ENTRY).exists() or KEY.fullmatch(each.name))
    damaged, total = [], 0
    for folder in folders:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        found = list(faults(folder, trust_stamps=not settings.verify))
        print(f"{folder.parent.name:<22} {folder.name}  {size / 1e6:>10,.1f} MB  {'damaged' if found else 'whole'}")
        print("".join(f"  {escape(fault)}\n" for fault in found), end="")
        damaged += [folder] if found else []
        total += size
    print(f"{len(folders)} entries, {total / 1e6:,.1f} MB, {len(damaged)} damaged", flush=True)
    print_recordings(root)
    if damaged:
        several = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        remedy = "delete each damaged entry, and the command that made it makes it again"
        state = "changed since it was written, or is of an earlier version of Wordless"
        raise InputError(f"{damaged[0]}{several} {state}; {remedy}")


def print_recordings(root: Path) -> None:
    """Print a line for each folder of recordings; the store does not record which runs use them."""
    folders = sorted(
        folder for kind in (SYNTHESISED, UNPACKED) for folder in (root / kind).glob("*/") if folder.is_dir()
    )
    for folder in folders:
        print(f"{folder.parent.name:<22} {folder.name}  {folder_size(folder) / 1e6:,.1f} MB of recordings")
    if folders:
        print(
            "folders of recordings may be deleted while no command runs: a run that needs them makes them again",
            flush=True,
        )
