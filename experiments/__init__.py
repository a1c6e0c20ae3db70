"""The jobs: compose a configuration, build a life, loop over it, log."""
