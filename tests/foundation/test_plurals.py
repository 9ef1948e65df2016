from foundation.plurals import counted


def test_only_one_is_singular() -> None:
    assert [counted(count, "recording") for count in (0, 1, 2)] == ["0 recordings", "1 recording", "2 recordings"]
    assert [counted(count, "class", "classes") for count in (1, 3)] == ["1 class", "3 classes"]
