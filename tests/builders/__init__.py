"""The small datasets that tests of several stages start from, each built in one place."""
