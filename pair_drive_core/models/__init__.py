"""Features, backbones, TransFuser, tree sampler, reward world model."""
