"""What the library refuses: each message is one line that says what would be right."""


class Refused(ValueError):
    """What was asked for cannot be. Any other ValueError is a fault of the library's own."""


class RunError(RuntimeError):
    """A run's folder is missing, damaged, of another version, or in the way."""
