"""Text that comes from outside, as it can be shown: in a message, in a log, on a terminal."""


def printable(text: str) -> str:
    """Return the text with all that does not print spelled out, as Python writes it.

    That is what a terminal would obey, and what stands for the bytes of a name that is no text (`os.fsdecode`).
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
