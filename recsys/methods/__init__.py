"""Methods of distillation for recommenders, one a file: ``recsys.distil`` runs them by name."""
