"""What the screens do: plain functions (session, values...) → {component: value}, without any interface code."""
