"""Service: keeps what is made of the lake current; today that is discovery."""
