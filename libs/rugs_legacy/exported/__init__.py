"""What an export wrote is known again: its manifests, and the events that its lines are."""
