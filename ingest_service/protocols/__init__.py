"""Home blood-pressure protocols as data, and the averages that follow from them; pure."""
