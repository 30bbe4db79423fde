"""Invitations of first administrators: requests that wait for the service that delivers them."""
