"""All that auth_svc holds of one tenant: counted, and destroyed for a purge."""
