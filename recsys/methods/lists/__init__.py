"""Rankings learnt from lists of items that a teacher or the student itself ranks."""
