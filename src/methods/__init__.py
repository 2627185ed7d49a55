"""Methods: each learns somebody from photos and gives back a generator of images."""
