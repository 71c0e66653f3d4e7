"""The leaf that gateway and server share: readings, identity, messages, topics."""
