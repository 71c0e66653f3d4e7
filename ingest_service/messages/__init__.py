"""Pure: what is to be said to whom; never a value, a name or a diagnosis."""
