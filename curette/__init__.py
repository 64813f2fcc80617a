"""Curette curates concept datasets from labelled medical images and measures what they are worth.

In a checkout the four folders beside this file are links to those at its top; a wheel holds the
folders themselves, so that an installed curette takes no name but its own.
"""
