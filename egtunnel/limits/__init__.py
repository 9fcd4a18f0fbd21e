"""How much and how fast: arithmetic of limits, pure, every moment an argument."""
