"""Questions to people, and what they answered."""
