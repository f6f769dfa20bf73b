"""Why a backend cannot compute."""


class BackendError(RuntimeError):
    """A backend that is not there, does not fit, or failed; another one can take its place."""
