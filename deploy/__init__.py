"""How Hemvital is installed: configuration a site starts from, and the local installation."""
