"""Text from outside in a page of Markdown, where it must mean nothing but itself."""


def escaped(text: str) -> str:
    """The text with every character that Markdown, HTML or YAML could take for markup as a numeric HTML entity."""
    return "".join(
        character if character.isalnum() or character in " -.'" or _within_word(text, place) else f"&#{ord(character)};"
        for place, character in enumerate(text)
    )


def _within_word(text: str, place: int) -> bool:
    """Whether a character is an underscore between letters or digits, where Markdown leaves it alone."""
    around = text[place - 1 : place] + text[place + 1 : place + 2]
    return text[place] == "_" and len(around) == 2 and around.isalnum()
