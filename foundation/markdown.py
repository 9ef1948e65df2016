"""Escaping of text for Markdown pages."""


def escape(text: str) -> str:
    """Replace every character that Markdown, HTML or YAML could read as markup by a numeric HTML entity."""
    return "".join(
        character if character.isalnum() or character in " -.'" or _within_word(text, place) else f"&#{ord(character)};"
        for place, character in enumerate(text)
    )


def _within_word(text: str, place: int) -> bool:
    """Return whether a character is an underscore between letters or digits, which is not markup in Markdown."""
    around = text[place - 1 : place] + text[place + 1 : place + 2]
    return text[place] == "_" and len(around) == 2 and around.isalnum()
