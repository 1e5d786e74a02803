"""Training: batches, the training loop, checkpoints, stages and pretraining. This package does not import `studies`."""
