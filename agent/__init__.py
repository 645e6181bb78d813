"""The Kentongan agent: video in, events and counts out; one direction, no back edges."""
