"""What makes a password acceptable, and how it is hashed without starving the service."""
