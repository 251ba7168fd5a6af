"""What MODEL means, and what is done with a model: training, evaluation."""
