"""What made the demo: it is no part of curette and is not installed."""
