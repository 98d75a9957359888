"""What a task's module imports: an error, and which errors are worth another attempt."""


class Flaky(Exception):  # noqa: N818
    pass


def is_flaky(error):
    return isinstance(error, Flaky)
