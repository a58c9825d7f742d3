"""The networks, a file for each kind; :mod:`ganlib.families` pairs them into models."""
