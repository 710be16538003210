"""How each kind of exhibit is laid out in panels. A new file here with ``PANELS`` is found by itself."""
