"""The paper's experiments, one a module: numbers and arrays out, no plotting."""
