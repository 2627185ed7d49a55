"""The embedded world: its trained parts (`weights/`), and how each of them is made from nothing."""
