"""Many elements: structures, splits and labels of the recipe "many-elements"."""
