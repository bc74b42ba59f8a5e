"""GAIN: Gradient Augmented Inpainting Network for Irregular Holes (Zhang et al., ACM Multimedia 2019)."""
