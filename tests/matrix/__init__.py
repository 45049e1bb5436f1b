"""Every pair of form choices, each trained for two steps or refused with a reason."""
