"""A finished run in the tracker that a team has: MLflow, W&B or TensorBoard."""
