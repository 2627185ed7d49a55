"""The people of the embedded world and their pictures: a pure function of seeds."""
