"""A gateway that is nobody's, by whose readings every part shows each minute that it works."""
