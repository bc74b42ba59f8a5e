"""Layers and losses of the field, each with its paper's name; shared by GAIN, the baselines and plugins."""
