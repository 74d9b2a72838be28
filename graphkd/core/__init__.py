"""Core of the library: views, teachers, losses, the distiller, ``fit``, methods and their runner."""
