"""What the services share and neither floor below may hold."""
