"""One module per family of file formats; each turns a piece of a file into atoms."""
