"""The installer's local page."""
