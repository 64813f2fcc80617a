"""The words of statements: their forms, what they can show, whom they name."""
