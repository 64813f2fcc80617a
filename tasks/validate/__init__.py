"""The gate: nothing unchecked is published."""
