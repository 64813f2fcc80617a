"""The nouns: one file an artifact. `settings/` is what a study can be told, `questions/` what the
evaluation answers.
"""
