"""Forgetting: what a certificate tells of a purge.

No stage: `curette forget` alone asks for it.
"""
