"""Old recordings: what their formats are, and how each becomes envelopes. No bus here."""
