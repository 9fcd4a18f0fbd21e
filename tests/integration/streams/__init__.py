"""HTTP as real programs use it, through one relay."""
