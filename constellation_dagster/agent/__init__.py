"""The agent: from what a person says to a pipeline that they can approve."""
