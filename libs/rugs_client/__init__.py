"""What a producer imports: a publisher that never slows it down and never loses what it can keep."""
