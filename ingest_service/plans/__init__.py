"""What was agreed for a patient and by whom it is followed, as pure data: no I/O, no clock."""
