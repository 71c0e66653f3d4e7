"""Whom to phone when nothing works: a list that lies in a file, refreshed while it can be."""
