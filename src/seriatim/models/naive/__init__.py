"""Models without a network: naive, statistical and count-based ones, fitted in closed form."""
