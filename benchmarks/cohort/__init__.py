"""A simulated cohort with known deteriorations, and what rules make of it."""
