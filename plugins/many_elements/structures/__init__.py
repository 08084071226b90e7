"""Structures that the labels of many elements are made of, each list reproducible from its name."""
