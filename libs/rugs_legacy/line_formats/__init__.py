"""Lines of the old formats from stored events: what export and dual-write share."""
