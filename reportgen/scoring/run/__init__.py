"""The work of a scoring, cut into shards that any process computes and none loses."""
