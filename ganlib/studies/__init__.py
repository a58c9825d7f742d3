"""The book's experiments, and what they say of the paper's claims."""
