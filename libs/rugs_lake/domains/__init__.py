"""What the lake knows of the domains that it stores."""
