"""Rankings learnt from a teacher's tables of users and items."""
