"""Users: people with an account in one tenant."""
