"""From the broker into the record: subscriber, admission, alert rules, store and jobs."""
