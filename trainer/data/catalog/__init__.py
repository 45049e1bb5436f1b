"""Which datasets there are: registry, hubs, versions, fix-ups, exports."""
