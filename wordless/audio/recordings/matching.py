"""Which recording a file of annotations, or a path inside of it, belongs to.

Recorders name files by time, so two sites have recordings of one name. A name is therefore not enough: the folders of
both must agree as far as both are given.

The *place* of a folder is its path without folders that only say a kind of files (`_KINDS_OF_FILES`)::

    siteA/labels/0600.txt      siteA          belongs to siteA/audio/0600.wav, and not to siteB/0600.wav
    labels/siteA/0600.txt      siteA          likewise
    labels/0600.txt            (not given)    belongs to the only recording of this name
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

Place = tuple[str, ...]
_KINDS_OF_FILES = {  # words of folders that say what kind of files is in them, and nothing of the recordings
    *("audio", "audios", "wav", "wavs", "wave", "waves", "flac", "flacs", "mp3", "mp3s", "ogg", "oggs", "opus", "m4a"),
    *("aiff", "sound", "sounds", "recording", "recordings", "file", "files", "text", "texts", "txt", "csv", "tsv"),
    *("label", "labels", "labelled", "labeled", "annotation", "annotations", "annotated", "transcript", "transcripts"),
    *("transcription", "transcriptions", "grid", "grids", "textgrid", "textgrids", "praat", "lab", "labs", "eaf"),
    *("elan", "raven", "selection", "selections", "selectiontables", "table", "tables", "audacity", "birdnet", "rttm"),
    *("rttms", "ctm", "ctms"),
}
_DRIVE = re.compile(r"(?:[a-z]:)?/*", re.IGNORECASE)


def fold(name: str) -> str:
    """Return a name in one case, and its letters with marks in one form."""
    return unicodedata.normalize("NFC", name).casefold()


def parent(path: str) -> str:
    """Return the folder of a path; empty: the root."""
    return path.rpartition("/")[0]


def place_of(folder: str) -> Place:
    """Return the place of a folder, which may be of another machine."""
    parts = (part for part in map(fold, _DRIVE.sub("", folder, count=1).split("/")) if part not in ("", ".", ".."))
    return tuple(part for part in parts if not {*re.split(r"[\W_]+", part)} - {""} <= _KINDS_OF_FILES)


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _differing(one: Sequence[str], other: Sequence[str]) -> tuple[int, Sequence[str], Sequence[str]]:
    """Return how many first folders are the same, and what lies between them and the last ones that are the same."""
    most = min(len(one), len(other))
    first = next((n for n in range(most) if one[n] != other[n]), most)
    last = next((n for n in range(most - first) if one[-1 - n] != other[-1 - n]), most - first)
    return first, one[first : len(one) - last], other[first : len(other) - last]


def _best(ranked: Sequence[tuple[float, str]]) -> list[str]:
    """Return the recordings that agree most; one that shares no folder is meant only if no other has its name."""
    most = max((agreement for agreement, _ in ranked), default=-1.0)
    found = [path for agreement, path in ranked if agreement == most]
    return found if most > 0 or (most == 0 and len(ranked) == 1) else []


@dataclass(frozen=True, kw_only=True, eq=False)
class Recordings:
    """The recordings below a folder, and the other files there; paths with "/" between folders."""

    paths: Sequence[str]
    others: Sequence[str]
    root: str = ""  # name of the folder
    _agreements: dict[tuple[str, str, str], float] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """The recordings by name, with and without ending."""
        names: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2]
            for each in {name, name.rpartition(".")[0] or name}:
                names[fold(each)].append(path)
        return names

    @cached_property
    def _homes(self) -> dict[str, Place]:
        """The folders that hold recordings, and their places."""
        return {folder: place_of(folder) for folder in dict.fromkeys(map(parent, self.paths))}

    @cached_property
    def _by_last(self) -> dict[str, set[Place]]:
        """The places of recordings by their last folders."""
        places: dict[str, set[Place]] = defaultdict(set)
        for place in filter(None, self._homes.values()):
            places[place[-1]].add(place)
        return places

    @cached_property
    def _files(self) -> dict[str, set[str]]:
        """The folders of other files by the names of the files."""
        folders: dict[str, set[str]] = defaultdict(set)
        for file in self.others:
            folders[fold(file.rpartition("/")[2])].add(parent(file))
        return folders

    @cached_property
    def _folders(self) -> dict[str, Counter[str]]:
        """The folders of other files that have the name of a recording, by the endings of the files."""
        folders: dict[str, Counter[str]] = defaultdict(Counter)
        for file in self.others:
            if self.is_named_so(file):
                folders[_ending(file)][parent(file)] += 1
        return folders

    @cached_property
    def _annotated(self) -> set[tuple[str, Place]]:
        """The places of recordings that have files of their names there, each with the ending of these files."""
        return {(_ending(file), self._homes[parent(path)]) for file in self.others for path in self._at_its_place(file)}

    def of_name(self, name: str) -> list[str]:
        """Return the recordings of a name, with or without its ending."""
        return self._names.get(fold(name), [])

    def of_file(self, file: str) -> list[str]:
        """Return the recordings that a file belongs to: those of its name, without its last endings.

        It belongs to a recording of its own folder, or to the one whose folders agree as far as both are given:
        ``wav/a/1.wav`` for ``grid/a/1.lab``. If that recording is missing, it belongs to none.
        """
        return self._at_its_place(file) or self._elsewhere(file)

    def why_none(self, file: str) -> str:
        """Say why a file belongs to no recording."""
        same, folder = next(self._same_name(file), []), parent(file) or "its folder"
        if not same:
            return "no recording has its name"
        elsewhere = f"{same[0]} is of another folder"
        if len(same) > 1:
            elsewhere = f"{same[0]} is of another folder, as are {len(same) - 1} more"
        elif not self.has_home(file) and self._agreement(file, parent(same[0])) >= 0:
            elsewhere = f"several files have the name of {same[0]}"
        return f"no recording of its name lies in {folder}, and {elsewhere}"

    def is_named_so(self, file: str) -> bool:
        """Return whether a file has the name of a recording, in whatever folder."""
        return any(self._same_name(file))

    def _same_name(self, file: str) -> Iterator[list[str]]:
        """Give the recordings of a file's name without its last ending, without the last two, and so on."""
        name = file.rpartition("/")[2]
        while "." in name[1:]:
            name = name.rpartition(".")[0]
            if same := self.of_name(name):
                yield same

    def _at_its_place(self, file: str) -> list[str]:
        """Return the recordings of a file's name in its folder, or the only one whose folders all agree."""
        folder, alone = parent(file), list[str]()
        for same in self._same_name(file):
            if beside := [path for path in same if parent(path) == folder]:
                return beside
            agreeing = [path for path in same if self._agreement(file, parent(path)) == math.inf]
            alone = alone or (agreeing if len(agreeing) == 1 else [])
        return alone

    def _elsewhere(self, file: str) -> list[str]:
        """Return the only recording of a file's name whose folders agree in part, if neither belongs elsewhere."""
        if self.has_home(file) or self._has_namesake(file):
            return []
        for same in self._same_name(file):
            found = _best([(self._agreement(file, parent(path)), path) for path in same])
            if len(found) == 1:
                return [] if (_ending(file), self._homes[parent(found[0])]) in self._annotated else found
        return []

    def _has_namesake(self, file: str) -> bool:
        """Return whether another folder has a file of the same name."""
        return bool(self._files[fold(file.rpartition("/")[2])] - {parent(file)})

    def has_home(self, file: str) -> bool:
        """Return whether recordings lie in a file's folder, or in one whose folders all agree."""
        return any(self._agreement(file, home) == math.inf for home in self._homes)

    def _agreement(self, file: str, home: str) -> float:
        """Return how many folders a file shares with the recordings of a folder; infinity: all, -1: some differ."""
        key = parent(file), home, _ending(file)
        if key not in self._agreements:
            place = place_of(key[0])
            _, *rest = _differing(place, self._homes[home])
            same = not any(rest) or self._differ_in_kind(key[0], home, key[2])
            self._agreements[key] = math.inf if same else -1 if all(rest) else len(place) - len(rest[0])
        return self._agreements[key]

    def _differ_in_kind(self, folder: str, home: str, ending: str) -> bool:
        """Return whether two paths differ in one folder, which parts all recordings from all files of an ending.

        So do ``Aufnahmen/a`` and ``Grenzen/a``, if no recordings lie beside the first, and none in the second. There
        must be several such files: one may be all that was copied of another place.
        """
        one, other = folder.split("/") if folder else [], home.split("/") if home else []
        first, *rest = _differing(one, other)
        if [len(each) for each in rest] != [1, 1]:
            return False
        above, files = "".join(f"{each}/" for each in one[:first]), self._folders[ending]

        def holds_all(name: str, folders: Iterable[str]) -> bool:
            return all(f"{each}/".startswith(f"{above}{name}/") for each in folders if f"{each}/".startswith(above))

        several = sum(count for each, count in files.items() if f"{each}/".startswith(above)) > 1
        return several and holds_all(rest[1][0], self._homes) and holds_all(rest[0][0], files)

    def meant(self, names: Collection[str], file: str) -> dict[str, list[str]]:
        """Return the recordings that each path or name in a file means, which is not there as it is written.

        A path of another machine means the recording of its name whose last folders are the same, as far as both are
        given; upper folders that all paths, and all recordings, share may differ. A bare name means a recording at the
        place of the file, or if none of the names is there the only one of the name at a place that agrees with it.
        """
        given = {name: place_of(parent(name)) for name in names}
        bare = [name for name, place in given.items() if not place]
        found, unknown = self._meant_bare(bare, file) if bare else {}, dict[str, Place]()
        upper, known = _shared_by(filter(None, given.values())), any(map(self._is_known, given.values()))
        for name, place in ((name, place) for name, place in given.items() if place):
            same = self.of_name(PurePosixPath(name).name)
            ranked = [(self._trailing(place, self._homes[parent(path)], upper), path) for path in same]
            found[name] = _best(ranked)
            if all(agreement <= 0 for agreement, _ in ranked):
                unknown[name] = place
        several = len({*unknown.values()}) > 1
        for name, place in unknown.items():
            same = self.of_name(PurePosixPath(name).name)
            if self._is_known(place) or (several and place[-1] != self.root) or (known and len(place) > upper):
                found[name] = []  # its folder is not here, or lacks it
            elif known or several:  # a folder of all the others: the root
                found[name] = [path for path in same if not self._homes[parent(path)]]
            elif own := [path for path in self.of_file(file) if path in same]:  # as of the card of a recorder: D:/1
                found[name] = own
        return found

    def _meant_bare(self, names: Iterable[str], file: str) -> dict[str, list[str]]:
        """Return the recordings that names without folders mean."""
        found, folder = dict[str, list[str]](), parent(file)
        named = {name: self.of_name(PurePosixPath(name).name) for name in names}
        for name, same in named.items():
            here = [path for path in same if parent(path) == folder]
            found[name] = here or [path for path in same if self._agreement(file, parent(path)) == math.inf]
        for name, same in named.items() if not any(found.values()) else ():
            below = [path for path in same if not folder or path.startswith(f"{folder}/")]
            found[name] = below or _best([(self._agreement(file, parent(path)), path) for path in same])
        return found

    def _trailing(self, given: Place, home: Place, upper: int) -> int:
        """Return how many last folders of two places are the same; -1 if those above differ, unless all share them."""
        same = next(
            (n for n, pair in enumerate(zip(given[::-1], home[::-1], strict=False)) if pair[0] != pair[1]), None
        )
        if same is None:
            return min(len(given), len(home))
        return same if same and len(given) - same <= upper and len(home) - same <= self._upper else -1

    @cached_property
    def _upper(self) -> int:
        """How many first folders of their places all recordings share."""
        return _shared_by(self._homes.values())

    def _is_known(self, given: Place) -> bool:
        """Return whether recordings lie in a folder of the last name of a path."""
        return bool(given) and given[-1] in self._by_last

    def differs(self, name: str, path: str) -> bool:
        """Return whether a path in a file names another folder than that of a recording."""
        given, home = place_of(parent(name)), self._homes.get(parent(path), ())
        return bool(given and home) and given[-1] != home[-1]

    def is_strange(self, name: str) -> bool:
        """Return whether no recording has the name that a path in a file gives, and no folder that of its folder."""
        return not self.of_name(PurePosixPath(name).name) and not self._is_known(place_of(parent(name)))


def _shared_by(places: Iterable[Place]) -> int:
    """Return how many first folders all places share."""
    every = [*places]
    return min((_differing(every[0], each)[0] for each in every), default=0)
