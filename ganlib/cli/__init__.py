"""``python -m ganlib``: what can be asked, and what is then done."""
