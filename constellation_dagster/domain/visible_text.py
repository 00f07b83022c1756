"""Texts of others as people see them: on one line, with nothing in them that hides or reorders."""

import unicodedata

_INVISIBLE = ("Cc", "Cf", "Co", "Cs", "Cn")


def visible(text: str) -> str:
    """A text on one line; what cannot be seen in it, such as marks of direction, as its number."""
    return "".join(map(_seen, " ".join(text.split())))


def _seen(character: str) -> str:
    if unicodedata.category(character) in _INVISIBLE:
        return f"\\u{ord(character):04x}"
    return character
