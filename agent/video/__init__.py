"""Cameras and files become frames with a capture time."""
