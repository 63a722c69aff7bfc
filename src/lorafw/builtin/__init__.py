"""Components that core itself offers, found through entry points like any other."""
