"""What the program exists for, measured as ratios against a named floor in the same run."""
