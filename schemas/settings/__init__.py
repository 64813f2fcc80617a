"""What a study can be told, one file a stage; apart from what stages make, so that a new setting
reruns its own stage and what follows, and nothing before it.
"""
