"""The nouns: one file an artifact, its spec beside it."""
