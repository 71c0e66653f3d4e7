"""Alert rules: pure functions over a reading, a patient's limits and recent history."""
