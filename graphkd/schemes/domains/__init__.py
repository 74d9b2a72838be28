"""Other domains and other kinds of input: adaptation, translation, cross-modal transfer."""
