"""Methods of distillation for recommenders, one a file."""
