"""A study on all of a machine: how many workers, what each of them does, and how long the whole command takes."""
