"""Who asks, and which of the model's access policies that makes apply. Pure: no clock, no I/O."""
