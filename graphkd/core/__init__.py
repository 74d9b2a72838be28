"""The drawing: views, teachers, losses, the distiller and fit."""
