"""Learning: the LightningModules, and the checkpoints they leave."""
