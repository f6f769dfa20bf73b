"""Maps: nuPlan's vector maps, read, written, tiled and searched."""
