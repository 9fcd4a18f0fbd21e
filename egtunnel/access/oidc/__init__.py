"""Login of visitors with an OpenID Connect provider of the client's choice."""
