"""The verbs: one folder a stage."""
