"""What is called as long as nothing is connected to a callback."""


def nobody_listens(*_news: object) -> None:
    """Leave it at that."""
