"""The gateway's memory: one SQLite file, and everything that reads or writes it."""
