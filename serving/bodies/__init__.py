"""What the service is asked: request bodies, checked before anything is computed."""
