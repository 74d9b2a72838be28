"""Online distillation: several students learn at once, from the labels and from each other."""
