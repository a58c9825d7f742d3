"""A run on disk: written, read, resumed."""
