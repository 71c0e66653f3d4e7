"""How staff are told: from a message to deliveries by webhook, e-mail and SMS."""
