"""A file, and a path in a file, belong to the recording of their folder; a missing recording is never another one's."""

from collections.abc import Sequence

import pytest

from wordless.audio.recordings.matching import Recordings

STRAYS = ["siteA/0600.wav", "siteA/0700.wav", "siteB/0700.wav", "siteC/0900.wav"]  # 0600 of site B was not copied
TABLES = ["siteA/0600.txt", "siteA/0700.txt", "siteB/0600.txt", "siteB/0700.txt", "siteC/0900.txt"]


@pytest.mark.parametrize(
    ("paths", "others", "file", "found"),
    [
        (STRAYS, TABLES, "siteA/0600.txt", "siteA/0600.wav"),
        (STRAYS, TABLES, "siteB/0600.txt", ""),
        (["siteA/0600.wav", "siteC/0900.wav"], TABLES, "siteB/0600.txt", ""),  # no recording of site B at all
        (["siteA/0600.wav"], ["siteA/0600.txt", "siteB/0600.txt"], "siteB/0600.txt", ""),
        (["siteA/0600.wav", "siteC/0900.wav"], ["siteB/0600.txt"], "siteB/0600.txt", ""),
        # folders that say the kind of their files
        (["audio/0600.wav"], ["labels/0600.txt"], "labels/0600.txt", "audio/0600.wav"),
        (["Audio/0600.wav"], ["Raven Selection Tables/0600.Table.1.selections.txt"],
         "Raven Selection Tables/0600.Table.1.selections.txt", "Audio/0600.wav"),
        (["wav/a/1.wav", "wav/b/1.wav"], ["grid/a/1.lab"], "grid/a/1.lab", "wav/a/1.wav"),
        (["wav/b/1.wav"], ["grid/a/1.lab"], "grid/a/1.lab", ""),
        (["siteA/audio/0600.wav"], ["siteB/labels/0600.txt"], "siteB/labels/0600.txt", ""),
        (["siteA/audio/0600.wav", "siteB/audio/0600.wav"], [], "siteB/labels/0600.txt", "siteB/audio/0600.wav"),
        (["siteB/audio/0600.wav"], [], "labels/siteB/0600.txt", "siteB/audio/0600.wav"),
        (["0600.wav"], [], "labels/0600.txt", "0600.wav"),
        (["wav/0600.wav"], [], "0600.txt", "wav/0600.wav"),
        (["audio/0700.wav", "audio/siteA/0600.wav"], [], "labels/0600.txt", ""),  # audio/0600.wav is missing
        # in any language, if they part all recordings from all annotations
        (["Ton/a/1.wav", "Ton/b/1.wav"], ["Grenzen/b/1.lab"], "Grenzen/a/1.lab", "Ton/a/1.wav"),
        (["Ton/1.wav", "Ton/2.wav"], ["Grenzen/2.lab"], "Grenzen/1.lab", "Ton/1.wav"),
        (["Ton/1.wav", "Ton/2.wav"], [], "Grenzen/1.lab", ""),  # one file may be of another place
        (["Ton/1.wav", "Ton/2.wav", "Grenzen/3.wav"], ["Grenzen/2.lab"], "Grenzen/1.lab", ""),
        (["x/Ton/1.wav", "y/Ton/1.wav", "y/Ton/2.wav"], ["x/Grenzen/1.lab", "y/Grenzen/2.lab"], "y/Grenzen/1.lab",
         "y/Ton/1.wav"),
        # as far as folders are given
        (["siteA/0600.wav"], ["labels/0600.txt"], "labels/0600.txt", "siteA/0600.wav"),
        (["siteA/0600.wav", "siteB/0600.wav"], ["labels/0600.txt"], "labels/0600.txt", ""),
        (["siteA/0600.wav", "siteA/0700.wav"], ["siteA/0700.txt", "0600.txt"], "0600.txt", ""),  # has others beside it
        (["0700.wav", "siteA/0600.wav"], ["0600.txt"], "0600.txt", ""),  # its folder has recordings
        (["data/siteA/0600.wav", "data/siteB/0600.wav"], [], "siteB/0600.txt", "data/siteB/0600.wav"),
        (["siteB/day1/0600.wav", "siteA/day1/0600.wav"], [], "siteB/0600.txt", "siteB/day1/0600.wav"),
        (["siteA/day1/0600.wav"], [], "siteB/day1/0600.txt", ""),
        (["audio/0600.wav"], ["ann/0600.txt"], "ann/0600.txt", "audio/0600.wav"),
        (["audio/0600.wav"], ["siteA/0600.txt", "siteB/0600.txt"], "siteB/0600.txt", ""),  # which one, is not known
        (["a/x.wav"], [], "a/x.mp3.Table.1.txt", "a/x.wav"), (["a/x.y.wav", "a/x.wav"], [], "a/x.y.lab", "a/x.y.wav"),
        (["U\u0308ber/1.WAV"], [], "labels/\u00fcBER/1.lab", "U\u0308ber/1.WAV"),
    ],
)  # fmt: skip
def test_a_file_belongs_to_the_recording_whose_folders_agree(
    paths: Sequence[str], others: Sequence[str], file: str, found: str
) -> None:
    recordings = Recordings(paths=paths, others=[*{*others, file}])
    assert recordings.of_file(file) == ([found] if found else [])
    assert found or recordings.why_none(file)


SITES = ["siteA/0600.wav", "siteA/0700.wav", "siteB/0700.wav"]


@pytest.mark.parametrize(
    ("paths", "file", "names", "found"),
    [
        (SITES, "all.txt", ["C:/data/siteA/0600.wav", "C:/data/siteB/0600.wav"], ["siteA/0600.wav", ""]),
        (SITES, "all.txt", ["C:/data/siteB/0600.wav"], [""]), (SITES, "all.txt", ["siteB/0600.wav"], [""]),
        (["siteA/0600.wav"], "all.txt", ["C:/data/siteB/0600.wav"], [""]),
        (["siteA/0600.wav"], "siteA/day.txt", ["C:/data/siteB/0600.wav"], [""]),
        (["siteA/0600.wav", "siteB/0600.wav"], "all.txt", ["/mnt/siteB/0600.wav"], ["siteB/0600.wav"]),
        (["siteA/0600.wav", "siteB/0600.wav"], "siteA/0600.txt", ["C:/data/siteB/0600.wav"], ["siteB/0600.wav"]),
        (SITES, "siteA/0600.txt", ["C:/data/siteB/0600.wav"], [""]),
        (SITES, "siteA/0600.txt", ["D:/card1/0600.wav"], ["siteA/0600.wav"]),  # as a recorder named its folder
        (["audio/0600.wav"], "labels/all.txt", ["D:/card1/0600.wav"], ["audio/0600.wav"]),
        (["0600.wav"], "all.txt", ["C:/x/0600.wav"], ["0600.wav"]),
        (["0600.wav"], "all.txt", ["C:/siteA/0600.wav", "C:/siteB/0600.wav"], ["", ""]),
        (["siteB/x/0600.wav", "siteB/y/0700.wav"], "all.txt", ["C:/x/0600.wav", "C:/z/0700.wav"],
         ["siteB/x/0600.wav", ""]),
        (["2024/siteA/0600.wav", "2024/siteB/0600.wav"], "all.txt", ["C:/x/siteA/0600.wav", "C:/x/siteB/0600.wav"],
         ["2024/siteA/0600.wav", "2024/siteB/0600.wav"]),
        (["siteA/1/0600.wav", "siteB/2/0600.wav"], "all.txt", ["siteA/1/0600.wav", "siteB/1/0600.wav"],
         ["siteA/1/0600.wav", ""]),
        (["0600.wav", "siteA/0600.wav"], "all.txt", ["C:/data/0600.wav", "C:/data/siteA/0600.wav"],
         ["0600.wav", "siteA/0600.wav"]),
        # names without folders
        (SITES, "siteB/day.rttm", ["0600", "0700"], ["", "siteB/0700.wav"]),
        (SITES, "siteB/day.rttm", ["0600"], [""]), (SITES, "siteA/day.rttm", ["0600"], ["siteA/0600.wav"]),
        (SITES, "all.rttm", ["0600", "0700"], ["siteA/0600.wav", "two"]),
        (["0700.wav", "siteA/0600.wav"], "all.rttm", ["0600.wav", "0700.wav"], ["", "0700.wav"]),
        (["audio/0600.wav"], "rttm/all.rttm", ["0600"], ["audio/0600.wav"]),
        (["audio/siteA/0600.wav"], "rttm/all.rttm", ["0600"], ["audio/siteA/0600.wav"]),
        (["siteA/audio/0600.wav"], "siteB/rttm/all.rttm", ["0600"], [""]),
    ],
)  # fmt: skip
def test_a_path_in_a_file_means_the_recording_of_its_folder(
    paths: Sequence[str], file: str, names: Sequence[str], found: Sequence[str]
) -> None:
    meant = Recordings(paths=paths, others=[file]).meant(names, file)
    assert [{0: "", 1: "".join(meant[name][:1])}.get(len(meant[name]), "two") for name in names] == [*found]
