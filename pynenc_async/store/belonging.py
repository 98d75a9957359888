"""Whose a store is, in words."""


def belongs_to_another(owner: str, app_id: str) -> str:
    """Say why the app with this id may not use a store that belongs to another one, and what to do."""
    return (
        f"it belongs to the app {owner!r}, and this one is {app_id!r}: each would run the other's work. Give both the same "
        "app_id, if they are one app, or give each a store of its own"
    )
