"""python -m ganlib."""
