"""Models: pretrained backbones, their heads, and how their weights are stored and transferred between stages."""
