"""Other services of the house that we call over HTTP."""
