"""Text for people and terminals."""

from wordless.base.text import counted, escape


def test_only_one_is_singular() -> None:
    assert [counted(count, "recording") for count in (0, 1, 2)] == ["0 recordings", "1 recording", "2 recordings"]
    assert [counted(count, "class", "classes") for count in (1, 3)] == ["1 class", "3 classes"]


def test_control_characters_are_escaped_and_no_break_spaces_are_not() -> None:
    assert escape("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\u202ec\nd"
    assert escape("100.0\N{NO-BREAK SPACE}%") == "100.0\N{NO-BREAK SPACE}%"
