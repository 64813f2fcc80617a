"""Tell a person what was found."""
