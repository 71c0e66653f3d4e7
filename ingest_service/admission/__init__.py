"""The one door into the record: lock, identity, map, store and judge in one transaction."""
