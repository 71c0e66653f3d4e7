"""One rule a module: what an input means for a patient, as findings; nothing of an alert's life."""
