"""DELLM: a learner that lives. Awake it perceives, answers and learns; at rest it replays, grows and prunes itself."""
