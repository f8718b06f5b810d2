"""One file per kind of finding. A detector sees the outcomes of those before it, so their order matters."""
