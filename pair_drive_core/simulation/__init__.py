"""A plan in, driven states out: LQR tracker, kinematic bicycle, background traffic."""
