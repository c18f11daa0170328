"""What tests share: kits for each room, fakes, oracles, and programs that run as processes."""
