"""The C++ scoring kernel: the same results as the torch path, on CPU threads.

`build` compiles it, `library` finds and loads it, `index` turns prepared scenes into its index and scores with it.
"""

LIBRARY = "kernel.so"
"""File name of the compiled kernel, beside the sources."""
