"""What is printed commands no terminal, and reads as it was written."""

from foundation.printable import escape


def test_control_characters_are_escaped_and_no_break_spaces_are_not() -> None:
    assert escape("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\u202ec\nd"
    assert escape("100.0\N{NO-BREAK SPACE}%") == "100.0\N{NO-BREAK SPACE}%"
