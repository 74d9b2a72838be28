"""Parts of ``graphkd.compress``: costs of students, trials spent on them, and the resulting front."""
