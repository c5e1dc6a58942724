"""How sessions are counted and judged."""
