"""Signed model updates: fetch, verify, trial, commit, roll back."""
