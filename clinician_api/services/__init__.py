"""Services: what a request does, in one transaction each."""
