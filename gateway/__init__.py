"""The daemon in the home: reads devices, keeps what they said, sends it until it is received."""
