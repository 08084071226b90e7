"""Structures as they come in: trajectories, the readers of their formats, names of elements."""
