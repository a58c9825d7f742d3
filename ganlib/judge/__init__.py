"""What reads digits and measures images."""
