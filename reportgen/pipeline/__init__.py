"""The stages in their order, each done again only where its inputs changed."""
