"""Who may do what: tokens and their scope, shares and their links."""
