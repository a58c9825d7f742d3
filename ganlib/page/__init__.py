"""What the reader's browser is given."""
