"""When much is silent at once: one incident, and whom it covers; pure, no I/O and no clock."""
