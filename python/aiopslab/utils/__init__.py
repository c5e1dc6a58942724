"""What code written for AIOpsLab imports as ``aiopslab.utils``: statuses, errors, and the marks of actions."""
