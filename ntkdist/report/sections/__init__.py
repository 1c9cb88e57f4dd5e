"""One file per section of the summary; each turns its part of the results document into rows."""
