"""The ground floor: what every room needs and no library has. It imports no other room."""
