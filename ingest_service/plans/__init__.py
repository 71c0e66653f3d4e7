"""Pure: what is to be measured, by which limits, when, and the unit's hours; no I/O, no clock."""
