"""The shelves: where artifacts, vectors and answers are kept."""
