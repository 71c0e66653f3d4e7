"""One rule a module: what an input means for a patient, as findings; no alert's life."""
